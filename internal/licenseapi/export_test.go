package licenseapi

// SignatureOf is the signature over a Date header.
func SignatureOf(shared, date string) []byte { return NewSharedKey(shared).sign(date) }
