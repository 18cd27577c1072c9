// Package fileaccess copies the mode and owner of a file to the file that replaces it.
// For example, root replaces a file of the user that the server runs as.
package fileaccess
