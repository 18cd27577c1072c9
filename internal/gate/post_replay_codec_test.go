package gate

import (
	"bytes"
	"fmt"
	"mime"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/page"
)

// sendAgain writes a form as browsers do that were given its fields.
func sendAgain(f page.KeptForm, boundary string) []byte {
	var b bytes.Buffer
	escape := strings.NewReplacer("\r\n", "%0D%0A", `"`, "%22")
	for i, field := range f.Fields {
		name, value := normalized(field.Name), normalized(field.Value)
		switch f.Type {
		case urlEncoded:
			if i > 0 {
				b.WriteByte('&')
			}
			b.Write(appendEscaped(nil, string(name)))
			b.WriteByte('=')
			b.Write(appendEscaped(nil, string(value)))
		case plainText:
			fmt.Fprintf(&b, "%s=%s\r\n", name, value)
		case multiPart:
			fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, escape.Replace(string(name)))
			if field.File {
				fmt.Fprintf(&b, "; filename=\"%s\"\r\nContent-Type: %s", escape.Replace(string(field.FileName)), field.FileType)
				value = field.Value
			}
			fmt.Fprintf(&b, "\r\n\r\n%s\r\n", value)
		}
	}
	if f.Type == multiPart {
		fmt.Fprintf(&b, "--%s--\r\n", boundary)
	}
	return b.Bytes()
}

func part(headers, value string) string {
	return "--x\r\nContent-Disposition: form-data; " + headers + "\r\n\r\n" + value + "\r\n"
}

const ofX = multiPart + "; boundary=x"

func TestAFormThatIsKeptComesOutAsItCameIn(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, body string
		fields            int
		charset           string
	}{
		"nothing":                         {urlEncoded, "", 0, "utf-8"},
		"fields":                          {urlEncoded, "b=1&a=2&b=3", 3, "utf-8"},
		"a field without a name or value": {urlEncoded, "=", 1, "utf-8"},
		"all that is escaped":             {urlEncoded, "%26%3D%2B%25=+%0D%0A%7E%00%22*-._", 1, "utf-8"},
		"UTF-8":                           {urlEncoded, "jm%C3%A9no=%E5%90%8D", 1, "utf-8"},
		"windows-1252":                    {urlEncoded, "caf%E9=%80%81", 1, "windows-1252"},
		"Shift_JIS":                       {urlEncoded, "a=%83%5C%93%FA", 1, "windows-1252"},
		"_charset_":                       {urlEncoded, "_charset_=UTF-8&a=b", 2, "utf-8"},
		"parts":                           {ofX, part(`name="a"`, "1") + part(`name="b"`, "two\r\nlines\r\n") + part(`name="a"`, "") + "--x--\r\n", 3, "utf-8"},
		"no parts":                        {ofX, "--x--\r\n", 0, "utf-8"},
		"a name that was escaped":         {ofX, part(`name="a%22b%0D%0A\c"`, "1") + "--x--\r\n", 1, "utf-8"},
		"a name of semicolons":            {ofX, part(`name="a; b=c"`, "1") + "--x--\r\n", 1, "utf-8"},
		"a file of any bytes":             {ofX, part("name=\"f\"; filename=\"\xc3\xbc.bin\"\r\nContent-Type: image/png", "\x00\xff\n\r--\r\n--y") + "--x--\r\n", 1, "utf-8"},
		"no file chosen":                  {ofX, part("name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream", "") + "--x--\r\n", 1, "utf-8"},
		"the name of a file in bytes":     {ofX, part("name=\"f\"; filename=\"\xfc.txt\"\r\nContent-Type: text/plain", "") + "--x--\r\n", 1, "windows-1252"},
		"lines":                           {plainText, "a=1\r\nb=2=3\r\n=\r\n", 3, "utf-8"},
		"a value of lines":                {plainText, "a=one\r\ntwo\r\n\r\nb=\xe9\r\n", 2, "windows-1252"},
		"no lines":                        {plainText, "", 0, "utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			f, ok := parseForm(test.contentType, []byte(test.body))
			if !ok || len(f.Fields) != test.fields || f.Charset != test.charset {
				t.Fatalf("kept %v: %d fields in %s", ok, len(f.Fields), f.Charset)
			}
			if again := sendAgain(f, "x"); string(again) != test.body {
				t.Errorf("it would be sent as\n%q, and was\n%q", again, test.body)
			}
		})
	}
}

func TestAFormThatWouldComeOutDifferentlyIsNotKept(t *testing.T) {
	const file = `name="f"; filename="a"`
	for name, test := range map[string]struct{ contentType, body string }{
		"no type":                            {"", "a=b"},
		"JSON":                               {"application/json", "{}"},
		"a type of a type":                   {urlEncoded + "/x", "a=b"},
		"a type with a charset":              {urlEncoded + "; charset=utf-8", "a=b"},
		"a field without =":                  {urlEncoded, "a"},
		"two & together":                     {urlEncoded, "a=b&&c=d"},
		"what need not be escaped":           {urlEncoded, "a=%41"},
		"what must be escaped":               {urlEncoded, "a=~"},
		"a space":                            {urlEncoded, "a= "},
		"%20":                                {urlEncoded, "a=%20"},
		"hex in small letters":               {urlEncoded, "a=%c3%a9"},
		"an escape that is none":             {urlEncoded, "a=%zz"},
		"an escape cut short":                {urlEncoded, "a=%4"},
		"a line break of its own":            {urlEncoded, "a=%0A"},
		"a carriage return of its own":       {urlEncoded, "a%0D=b"},
		"no boundary":                        {multiPart, part(`name="a"`, "1") + "--x--\r\n"},
		"another boundary":                   {multiPart + "; boundary=y", part(`name="a"`, "1") + "--x--\r\n"},
		"no end":                             {ofX, part(`name="a"`, "1")},
		"no line break at the end":           {ofX, part(`name="a"`, "1") + "--x--"},
		"something behind the end":           {ofX, part(`name="a"`, "1") + "--x--\r\nz"},
		"something before the parts":         {ofX, "z\r\n" + part(`name="a"`, "1") + "--x--\r\n"},
		"a part without headers":             {ofX, "--x\r\n\r\n1\r\n--x--\r\n"},
		"a part without a name":              {ofX, part(`filename="a"`, "1") + "--x--\r\n"},
		"a name without quotes":              {ofX, part(`name=a`, "1") + "--x--\r\n"},
		"a quotation mark in a name":         {ofX, part(`name="a\"b"`, "1") + "--x--\r\n"},
		"a header more":                      {ofX, part("name=\"a\"\r\nContent-Transfer-Encoding: base64", "1") + "--x--\r\n"},
		"a type of a field":                  {ofX, part("name=\"a\"\r\nContent-Type: text/plain", "1") + "--x--\r\n"},
		"a file without a type":              {ofX, part(file, "1") + "--x--\r\n"},
		"a file with an empty type":          {ofX, part(file+"\r\nContent-Type: ", "1") + "--x--\r\n"},
		"a file's type in capitals":          {ofX, part(file+"\r\nContent-Type: Text/Plain", "1") + "--x--\r\n"},
		"a file with a header more":          {ofX, part(file+"\r\nContent-Type: a/b\r\nX: y", "1") + "--x--\r\n"},
		"a line break in a part's value":     {ofX, part(`name="a"`, "1\n2") + "--x--\r\n"},
		"lines that do not end":              {plainText, "a=b"},
		"lines that begin in the middle":     {plainText, "a\r\nb=c\r\n"},
		"lines with a line break of its own": {plainText, "a=b\nc=d\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if f, ok := parseForm(test.contentType, []byte(test.body)); ok {
				t.Fatalf("it would be sent as %q", sendAgain(f, "x"))
			}
		})
	}
}

// FuzzForm holds that whatever is kept is sent again byte for byte.
func FuzzForm(f *testing.F) {
	for _, kind := range []string{urlEncoded, ofX, plainText} {
		for _, body := range []string{"", "a=b&c=%0D%0A+", "a=b\r\nc\r\n", part(`name="a"`, "1") + part("name=\"f\"; filename=\"g\"\r\nContent-Type: a/b", "\x00") + "--x--\r\n"} {
			f.Add(kind, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		before := slices.Clone(body)
		form, ok := parseForm(kind, body)
		if !ok {
			return
		}
		_, params, err := mime.ParseMediaType(kind)
		if err != nil {
			t.Fatal(err)
		}
		if again := sendAgain(form, params["boundary"]); !bytes.Equal(again, before) {
			t.Fatalf("%q would be sent as %q", before, again)
		}
	})
}
