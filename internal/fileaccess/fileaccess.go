// Package fileaccess keeps the mode and the owner of a file that is replaced by
// another: by root, say, where the server runs as somebody else.
package fileaccess
