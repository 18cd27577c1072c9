// Package options reads the options of a Caddyfile block. Its errors name the option,
// the value and the remedy.
package options

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
)

// Block reads a block of options. Each option has a function that reads its arguments. An
// unknown option is an error, and so is an argument that is left on the line.
func Block(d *caddyfile.Dispenser, known map[string]func() error) error {
	block := blockName(d)
	if d.NextArg() {
		return unexpectedArgument(d, block, known)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := known[name]
		if !ok {
			return unknownSetting(d, block, known)
		}
		if err := read(); err != nil {
			return err
		}
		if d.NextArg() {
			return unexpectedValue(d, name)
		}
	}
	return nil
}

// TextArg reads an option with exactly one argument, in which no placeholder is replaced.
func TextArg(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if err := ReplacedArg(d, to); err != nil {
		return err
	}
	return CheckNoPlaceholder(d, name, *to)
}

// ReplacedArg is TextArg for a setting whose placeholders are replaced when it is used.
func ReplacedArg(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("%s: expected a value", name)
	}
	if *to != "" {
		return d.Errf("duplicate option: %s; keep one of the two", name)
	}
	*to = d.Val()
	return nil
}

// TextArgs reads an option with one argument or more.
func TextArgs(d *caddyfile.Dispenser, to *[]string) error {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s: expected at least one value", name)
	}
	*to = append(*to, args...)
	return CheckNoPlaceholder(d, name, strings.Join(args, " "))
}

// CheckedArg reads an option with exactly one argument that check accepts.
func CheckedArg(d *caddyfile.Dispenser, to *string, check func(string) error) error {
	name := d.Val()
	if err := TextArg(d, to); err != nil {
		return err
	}
	err := check(*to)
	if err != nil && !strings.Contains(err.Error(), name) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return WithLine(d, err)
}

// ParsedBy returns a check for EachArg and CheckedArg, which accepts the values that
// parse accepts.
func ParsedBy[T any](parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		_, err := parse(text)
		return err
	}
}

// EachArg reads an option with arguments that check accepts.
func EachArg(d *caddyfile.Dispenser, to *[]string, check func(string) error) error {
	before := len(*to)
	if err := TextArgs(d, to); err != nil {
		return err
	}
	for _, v := range (*to)[before:] {
		if err := WithLine(d, check(v)); err != nil {
			return err
		}
	}
	return nil
}

// WithLine adds the current line of the Caddyfile to an error. It returns nil for nil.
func WithLine(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// BoolArg reads an option without arguments.
func BoolArg(to *bool) func() error {
	return func() error {
		*to = true
		return nil
	}
}

// The values of a setting that is on unless it is turned off.
const (
	On  = "on"
	Off = "off"
)

// CheckOnOff checks such a setting; "" is its default.
func CheckOnOff(setting, value string) error {
	if value != "" && value != On && value != Off {
		return fmt.Errorf("%s %q is unknown; expected on or off", setting, value)
	}
	return nil
}

// PositiveArg reads a number above zero.
func PositiveArg(d *caddyfile.Dispenser, to *int) error {
	name := d.Val()
	var s string
	if err := TextArg(d, &s); err != nil {
		return err
	}
	if *to != 0 {
		return d.Errf("duplicate option: %s; keep one of the two", name)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return d.Errf("%s: %q is not a positive number; expected for example 10", name, s)
	}
	*to = n
	return nil
}

// DurationArg reads a time such as 90s, 15m, 24h or 30d.
func DurationArg(d *caddyfile.Dispenser, to *caddy.Duration) error {
	name := d.Val()
	var s string
	if err := TextArg(d, &s); err != nil {
		return err
	}
	if *to != 0 {
		return d.Errf("duplicate option: %s; keep one of the two", name)
	}
	v, err := caddy.ParseDuration(s)
	if n, noUnit := strconv.Atoi(s); noUnit == nil && n > 0 {
		return d.Errf("%s: %q has no unit; write for example %ss, %sm, %sh or %sd", name, s, s, s, s, s)
	}
	if err != nil || v <= 0 {
		return d.Errf("%s: %q is not a duration; expected for example 90s, 15m, 24h or 30d", name, s)
	}
	*to = caddy.Duration(v)
	return nil
}

// SecretArg reads an option with one argument that is a secret. The values of
// placeholders in it are not known yet.
func SecretArg(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if err := ReplacedArg(d, to); err != nil {
		return err
	}
	if d.NextArg() {
		return d.Errf("%s: expected one value; put a secret with blanks in quotes", name)
	}
	if err := secrets.CheckWritten(*to); err != nil {
		return d.Errf("%s: %v", name, err)
	}
	return nil
}

// PairArg reads an option with a name and a value into a map. A second value for a
// name is an error. expected describes the two.
func PairArg(d *caddyfile.Dispenser, into *map[string]string, expected string) (name, value string, err error) {
	option := d.Val()
	if !d.Args(&name, &value) {
		return "", "", d.Errf("%s: expected %s", option, expected)
	}
	if _, twice := (*into)[name]; twice {
		return "", "", d.Errf("duplicate option: %s %s; keep one of the two", option, name)
	}
	if err := CheckNoPlaceholder(d, option, value); err != nil {
		return "", "", err
	}
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[name] = value
	return name, value, nil
}
