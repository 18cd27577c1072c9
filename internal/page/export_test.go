package page

import "io/fs"

// NewIn is New with message files of the test's own.
func NewIn(b Brand, o Options, messages fs.FS) (*Pages, error) {
	texts, err := loadCatalogue(messages)
	if err != nil {
		return nil, err
	}
	return newPages(b, o, texts)
}

// Values are what is put in a text or a fault, which a test may change.
func (t Text) Values() map[string]string { return t.args }

// Values are the same of a fault.
func (f Fault) Values() map[string]string { return f.args }
