package page

import (
	"errors"
	"fmt"
	"net/url"
)

// A Brand is the look that an operator gives to all pages.
type Brand struct {
	// Name is the heading of every page, and part of its title. Default: "Single
	// sign-on", or nothing beside a logo.
	Name string

	// Logo is the URL of an image before the name: https, http on a loopback address,
	// or an absolute path. Default: a plain mark in the accent colour.
	Logo string

	// Accent is the colour of buttons and links, as #rrggbb. Links are darkened or
	// lightened if the contrast is too low. Default: DefaultAccent.
	Accent string
}

// DefaultAccent is the default of [Brand].Accent.
const DefaultAccent = "#3f51d8"

// brand is a checked Brand.
type brand struct {
	Name       string
	Logo       string
	accent     rgb
	logoSource string // for the policy's img-src; empty when 'self' covers it
}

func checkBrand(b Brand) (brand, error) {
	checked := brand{Name: b.Name, Logo: b.Logo}
	accent := b.Accent
	if accent == "" {
		accent = DefaultAccent
	}
	var err error
	if checked.accent, err = parseRGB(accent); err != nil {
		return brand{}, fmt.Errorf("page: accent colour %q: %w", b.Accent, err)
	}
	if b.Logo != "" {
		if checked.logoSource, err = imageSource(b.Logo); err != nil {
			return brand{}, fmt.Errorf("page: logo %q: %w", b.Logo, err)
		}
	}
	return checked, nil
}

// imageSource checks the address of an image, and returns what img-src needs
// besides 'self' to load it.
func imageSource(raw string) (string, error) {
	if isLocalPath(raw) {
		return "", nil
	}
	u, err := url.Parse(raw)
	if err == nil && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())) {
		return source(u)
	}
	return "", errors.New("want an https:// URL, an http:// URL of this machine, or an absolute path such as /logo.svg")
}
