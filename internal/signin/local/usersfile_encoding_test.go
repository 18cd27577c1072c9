package local_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/jsonlines"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
)

func utf16of(text string, order binary.AppendByteOrder, mark bool) string {
	var out []byte
	if mark {
		text = "\ufeff" + text
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// What other programs and editors make of a file of users.
func TestAFileInAnotherFormLosesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		write func(ann, bob string) string
		want  string // in the log
	}{
		"UTF-16":                       {func(ann, bob string) string { return utf16of(ann+bob, binary.LittleEndian, true) }, "UTF-16"},
		"UTF-16, the other byte order": {func(ann, bob string) string { return utf16of(ann+bob, binary.BigEndian, true) }, "UTF-16"},
		"UTF-16 without a mark":        {func(ann, bob string) string { return utf16of(ann+bob, binary.LittleEndian, false) }, "UTF-16"},
		"an array": {func(ann, bob string) string {
			return "[" + strings.TrimSpace(ann) + "," + strings.TrimSpace(bob) + "]\n"
		}, "array"},
		"an array, one a line":       {func(ann, bob string) string { return "[\n" + strings.TrimSpace(ann) + ",\n" + bob + "]\n" }, "array"},
		"an array that is indented":  {func(string, string) string { return "[\n  {\n    \"name\": \"ann\"\n  }\n]\n" }, "array"},
		"an array of nobody":         {func(string, string) string { return "[]\n" }, "array"},
		"an array without an end":    {func(string, string) string { return " []" }, "array"},
		"an object that is indented": {func(string, string) string { return "{\n  \"name\": \"ann\"\n}\n" }, ":1: "},
		"lines that end in CR":       {func(ann, bob string) string { return strings.ReplaceAll(ann+bob, "\n", "\r") }, "CR"},
		"a table":                    {func(string, string) string { return "name,hash\nann,x\n" }, ":1: "},
		"no right hash":              {func(string, string) string { return `{"name":"ann","hash":"hunter2"}` + "\n" }, "caddy hash-password"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsersFixture(t)
			ann, bob := u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob"})
			u.changed(ann, bob)
			u.changed(c.write(ann, bob))
			for range 3 * jsonlines.Patience {
				u.method.File().Look()
			}
			u.want("root", "ann", "bob")
			if texts := u.logged(); len(texts) != 1 || !strings.Contains(texts[0], u.path) || !strings.Contains(texts[0], c.want) || strings.Contains(texts[0], "hunter2") {
				t.Errorf("logged %q", texts)
			}
			if err := u.method.Open(nil); err == nil {
				t.Error("a start takes it")
			}
			before, err := os.ReadFile(u.path)
			if err != nil {
				t.Fatal(err)
			}
			if name != "no right hash" { // which a command can mend
				err = local.EditUsers(u.path, true, func(text local.UsersText) error { return text.Add(local.UserRecord{Name: "cat"}) })
				if after, readErr := os.ReadFile(u.path); err == nil || readErr != nil || !slices.Equal(after, before) {
					t.Errorf("it was edited: %v, %v", err, readErr)
				}
			}
			u.changed(u.line(local.UserRecord{Name: "cat"}))
			u.want("root", "cat")
		})
	}
}

func TestAByteOrderMarkBeforeUTF8HidesNobody(t *testing.T) {
	u := newUsersFixture(t)
	u.changed("\ufeff", u.line(local.UserRecord{Name: "ann"}), strings.ReplaceAll(u.line(local.UserRecord{Name: "bob"}), "\n", "\r\n"))
	u.want("root", "ann", "bob")
	if err := local.EditUsers(u.path, false, func(text local.UsersText) error {
		return text.Change("ann", func(r *local.UserRecord) { r.Disabled = true })
	}); err != nil {
		t.Fatal(err)
	}
	u.method.File().Look()
	u.method.File().Look()
	u.want("root", "bob")
	u.changed("\ufeff\n")
	u.want("root")
	u.changed(u.line(local.UserRecord{Name: "ann"}))
	u.changed("\ufeff")
	u.want("root", "ann")
}

func TestTheLogCountsTheUsersThatTheFileHas(t *testing.T) {
	u := newUsersFixture(t)
	core, log := observer.New(zapcore.InfoLevel)
	u.method.UseFile(u.path, local.Comparers{Bcrypt: u.work.Compare}, zap.New(core))
	u.changed(u.line(local.UserRecord{Name: "ann"}), "broken\n", "\n", u.line(local.UserRecord{Name: "Root"}), u.line(local.UserRecord{Name: "bob"}), `{"name":`)
	read := log.FilterMessage("the file of users was read").All()
	if len(read) != 1 || read[0].ContextMap()["users"] != int64(2) {
		t.Errorf("logged %v", read)
	}
}

func TestAFileThatIsNotWholeIsSaidAtTheStart(t *testing.T) {
	u := newUsersFixture(t)
	ann, bob := u.line(local.UserRecord{Name: "ann"}), u.line(local.UserRecord{Name: "bob"})
	for name, c := range map[string]struct{ text, want string }{
		"gone":                      {"", "caddy sso user add"},
		"empty":                     {"", "is empty"},
		"cut off":                   {ann + bob[:len(bob)/2], "looks cut off"},
		"cut off in the first line": {ann[:len(ann)/2], "no line is a user"},
		"an empty line":             {"\n", ""},
		"no end, and whole":         {ann + strings.TrimSpace(bob), ""},
		"no end, whole, and wrong":  {ann + `{"name":"bob","password":"x"}`, ""},
	} {
		path := filepath.Join(t.TempDir(), "users")
		if name != "gone" {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		method, err := local.New("local", nil)
		if err != nil {
			t.Fatal(err)
		}
		method.UseFile(path, local.Comparers{Bcrypt: u.work.Compare}, zap.NewNop())
		if err := method.Open(nil); (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileThatWasCutOffIsNotEdited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	for text, refusal := range map[string]string{
		"": "is empty", `{"name":"an`: "looks cut off", "\n{": "looks cut off",
		"\n": "", "not a user\n": "no line is a user", `{"name":"ann","hash":"x"}`: "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		edited := false
		err := local.EditUsers(path, true, func(local.UsersText) error { edited = true; return nil })
		if (err == nil) != (refusal == "") || edited != (err == nil) || (err != nil && !strings.Contains(err.Error(), refusal)) {
			t.Errorf("%q: edited %v, %v", text, edited, err)
		}
		if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: what was begun is left: %v", text, err)
		}
	}
}
