package username

// What tests of this package look at, too.
var Plain = plain
