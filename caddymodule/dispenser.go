package caddymodule

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseOptions reads a block of options by name. Each reads its own arguments; what
// it leaves on the line is an error, and so is an option that there is not.
func parseOptions(d *caddyfile.Dispenser, known map[string]func() error) error {
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

// textArg reads an option with exactly one argument, in which no placeholder is replaced.
func textArg(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if err := replacedArg(d, to); err != nil {
		return err
	}
	return checkReplaced(d, name, *to)
}

// replacedArg is one for a setting whose placeholders are replaced when it is used.
func replacedArg(d *caddyfile.Dispenser, to *string) error {
	name := d.Val()
	if !d.NextArg() || d.Val() == "" {
		return d.Errf("%s: expected a value", name)
	}
	if *to != "" {
		return d.Errf("%s is there twice", name)
	}
	*to = d.Val()
	return nil
}

// textArgs reads an option with one argument or more.
func textArgs(d *caddyfile.Dispenser, to *[]string) error {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s: expected at least one value", name)
	}
	*to = append(*to, args...)
	return checkReplaced(d, name, strings.Join(args, " "))
}

// checkedArg reads an option with exactly one argument that check takes.
func checkedArg(d *caddyfile.Dispenser, to *string, check func(string) error) error {
	name := d.Val()
	if err := textArg(d, to); err != nil {
		return err
	}
	err := check(*to)
	if err != nil && !strings.Contains(err.Error(), name) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return withLine(d, err)
}

// eachArg reads an option with arguments of which check takes every one.
func eachArg(d *caddyfile.Dispenser, to *[]string, check func(string) error) error {
	before := len(*to)
	if err := textArgs(d, to); err != nil {
		return err
	}
	for _, v := range (*to)[before:] {
		if err := withLine(d, check(v)); err != nil {
			return err
		}
	}
	return nil
}

// withLine adds the line that was read last to an error, if it is one.
func withLine(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// boolOption reads an option without arguments.
func boolOption(to *bool) func() error {
	return func() error {
		*to = true
		return nil
	}
}

// The values of a setting that is on unless it is turned off.
const (
	on  = "on"
	off = "off"
)

// onOrOff checks such a setting; "" is its default.
func onOrOff(setting, value string) error {
	if value != "" && value != on && value != off {
		return fmt.Errorf("%s %q is unknown; expected on or off", setting, value)
	}
	return nil
}

// positive reads a number above zero.
func positive(d *caddyfile.Dispenser, to *int) error {
	name := d.Val()
	var s string
	if err := textArg(d, &s); err != nil {
		return err
	}
	if *to != 0 {
		return d.Errf("%s is there twice", name)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return d.Errf("%s: %q is no positive number", name, s)
	}
	*to = n
	return nil
}

// duration reads a time such as 90s, 15m, 24h or 30d.
func duration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	name := d.Val()
	var s string
	if err := textArg(d, &s); err != nil {
		return err
	}
	if *to != 0 {
		return d.Errf("%s is there twice", name)
	}
	v, err := caddy.ParseDuration(s)
	if n, noUnit := strconv.Atoi(s); noUnit == nil && n > 0 {
		return d.Errf("%s: %q has no unit; write for example %ss, %sm, %sh or %sd", name, s, s, s, s, s)
	}
	if err != nil || v <= 0 {
		return d.Errf("%s: %q is no time such as 90s, 15m, 24h or 30d", name, s)
	}
	*to = caddy.Duration(v)
	return nil
}
