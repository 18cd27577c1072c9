// Package fileaccess keeps the mode and the owner of a file that is replaced, for
// example by root while the server runs as another user.
package fileaccess
