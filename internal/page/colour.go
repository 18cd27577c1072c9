package page

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// readable is the contrast that WCAG 2.2 requires of text (1.4.3), visible that of
// the edge of a control (1.4.11). distinct and inverted are our own: the least
// contrast of a button with such an edge, and the contrast that it gets if its colour
// is too close to that of the card.
const (
	readable = 4.5
	visible  = 3
	distinct = 1.3
	inverted = 11
)

type rgb struct{ r, g, b uint8 }

var (
	black = rgb{}
	white = rgb{255, 255, 255}
	ink   = rgb{0x0d, 0x10, 0x17}
)

func parseRGB(s string) (rgb, error) {
	digits, ok := strings.CutPrefix(s, "#")
	n, err := strconv.ParseUint(digits, 16, 24)
	if !ok || err != nil || len(digits) != 6 {
		return rgb{}, errors.New("want # and six hexadecimal digits, such as " + DefaultAccent)
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// luminance is the relative luminance of WCAG 2.2.
func (c rgb) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

// contrast is the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// towards mixes c with other. The stylesheet does not mix colours itself (color-mix),
// since a test checks the contrast of the results here. The share of other is from 0 to 1.
func (c rgb) towards(other rgb, share float64) rgb {
	mix := func(from, to uint8) uint8 {
		return uint8(math.Round(float64(from) + (float64(to)-float64(from))*share))
	}
	return rgb{mix(c.r, other.r), mix(c.g, other.g), mix(c.b, other.b)}
}

// apart moves c towards extreme, as little as possible, until its contrast with each
// of grounds is at least ratio.
func (c rgb) apart(ratio float64, extreme rgb, grounds ...rgb) rgb {
	for step := range 100 {
		moved := c.towards(extreme, float64(step)/100)
		if lowest(moved, grounds) >= ratio {
			return moved
		}
	}
	return extreme
}

func lowest(c rgb, grounds []rgb) float64 {
	least := math.Inf(1)
	for _, ground := range grounds {
		least = min(least, contrast(c, ground))
	}
	return least
}

// textOn returns black or white, whichever has more contrast on c. That is at least
// 4.58.
func textOn(c rgb) rgb {
	for _, text := range []rgb{white, ink} {
		if contrast(text, c) >= readable {
			return text
		}
	}
	return black
}

// A theme is the palette for one colour scheme, before the accent.
type theme struct {
	page, card, sunken         rgb // grounds
	text, muted                rgb
	line, edge                 rgb // decoration; the border of a control
	danger, dangerCard, shadow rgb
	extreme                    rgb // accents move towards it for more contrast
}

var (
	light = theme{
		page: rgb{0xf4, 0xf5, 0xf8}, card: white, sunken: rgb{0xf4, 0xf5, 0xf8},
		text: rgb{0x16, 0x19, 0x22}, muted: rgb{0x58, 0x60, 0x70},
		line: rgb{0xe2, 0xe5, 0xeb}, edge: rgb{0x86, 0x8e, 0x9d},
		danger: rgb{0xa8, 0x1f, 0x1f}, dangerCard: rgb{0xfd, 0xf1, 0xf0}, shadow: rgb{0x16, 0x19, 0x22},
		extreme: black,
	}
	dark = theme{
		page: rgb{0x0d, 0x0f, 0x14}, card: rgb{0x16, 0x19, 0x21}, sunken: rgb{0x1f, 0x23, 0x2d},
		text: rgb{0xec, 0xee, 0xf3}, muted: rgb{0xa3, 0xab, 0xb9},
		line: rgb{0x2a, 0x2f, 0x3a}, edge: rgb{0x70, 0x79, 0x8a},
		danger: rgb{0xff, 0xb3, 0xab}, dangerCard: rgb{0x33, 0x1b, 0x1b}, shadow: black,
		extreme: white,
	}
)

// link is the colour of links: the accent with enough contrast on the backgrounds of the theme.
func (t theme) link(accent rgb) rgb {
	return t.fill(accent).apart(readable, t.extreme, t.page, t.card, t.sunken)
}

// fill is the background of a button: the accent itself, unless it is almost the
// colour of the card. Then the button is light on dark, or dark on light, with a
// strong contrast, since a weak one would look like a disabled button.
func (t theme) fill(accent rgb) rgb {
	if contrast(accent, t.card) >= distinct {
		return accent
	}
	return accent.apart(inverted, t.extreme, t.card)
}

// rim is the border of a button. It shows the edge of a button with a pale accent.
func (t theme) rim(accent rgb) rgb { return t.fill(accent).apart(visible, t.extreme, t.card, t.page) }

// pressed is the background of a button under the pointer. It has more contrast to
// the text than fill.
func pressed(fill rgb) rgb {
	if textOn(fill) == white {
		return fill.towards(black, 0.16)
	}
	return fill.towards(white, 0.24)
}

// declarations returns the theme as CSS custom properties.
func (t theme) declarations(accent rgb) string {
	var b strings.Builder
	fill := t.fill(accent)
	for _, property := range []struct {
		name  string
		value rgb
	}{
		{"page", t.page},
		{"card", t.card},
		{"sunken", t.sunken},
		{"text", t.text},
		{"muted", t.muted},
		{"line", t.line},
		{"edge", t.edge},
		{"danger", t.danger},
		{"danger-card", t.dangerCard},
		{"shadow", t.shadow},
		{"accent", fill},
		{"accent-pressed", pressed(fill)},
		{"accent-text", textOn(fill)},
		{"accent-rim", t.rim(accent)},
		{"link", t.link(accent)},
	} {
		fmt.Fprintf(&b, "--%s:%s;", property.name, property.value)
	}
	return b.String()
}

// themes returns the beginning of the stylesheet, with all colours.
func themes(accent rgb) string {
	return ":root{" + light.declarations(accent) + "}\n" +
		"@media (prefers-color-scheme:dark){:root{" + dark.declarations(accent) + "}}\n"
}
