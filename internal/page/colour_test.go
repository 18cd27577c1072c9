package page

import (
	"math"
	"testing"
)

func TestContrastIsThatOfWCAG(t *testing.T) {
	for _, test := range []struct {
		a, b rgb
		want float64
	}{
		{black, white, 21},
		{white, white, 1},
		{rgb{0x76, 0x76, 0x76}, white, 4.54}, // the lightest grey that passes on white
		{rgb{0xff, 0, 0}, white, 4.00},
	} {
		if got := contrast(test.a, test.b); math.Abs(got-test.want) > 0.005 {
			t.Errorf("contrast of %v and %v: %.2f, want %.2f", test.a, test.b, got, test.want)
		}
	}
}

func TestTheThemesAreReadable(t *testing.T) {
	for name, theme := range map[string]theme{"light": light, "dark": dark} {
		grounds := []rgb{theme.page, theme.card, theme.sunken}
		for what, got := range map[string]float64{
			"text":                   lowest(theme.text, grounds),
			"muted text":             lowest(theme.muted, grounds),
			"an error's title":       contrast(theme.danger, theme.dangerCard),
			"an error's text":        contrast(theme.text, theme.dangerCard),
			"danger on the card":     contrast(theme.danger, theme.card),
			"the edge of a control*": contrast(theme.edge, theme.card) * readable / visible,
		} {
			if got < readable {
				t.Errorf("%s: %s has contrast %.2f", name, what, got)
			}
		}
	}
}

func TestEveryAccentIsReadableInBothThemes(t *testing.T) {
	for r := 0; r <= 255; r += 15 {
		for g := 0; g <= 255; g += 15 {
			for b := 0; b <= 255; b += 15 {
				accent := rgb{uint8(r), uint8(g), uint8(b)}
				for name, theme := range map[string]theme{"light": light, "dark": dark} {
					fill := theme.fill(accent)
					if got := contrast(textOn(fill), fill); got < readable {
						t.Errorf("%v, %s: text on a button %.2f", accent, name, got)
					}
					if got := contrast(textOn(fill), pressed(fill)); got < readable {
						t.Errorf("%v, %s: text on a pressed button %.2f", accent, name, got)
					}
					if got := contrast(fill, theme.card); got < distinct {
						t.Errorf("%v, %s: button on the card %.2f", accent, name, got)
					}
					if got := lowest(theme.link(accent), []rgb{theme.page, theme.card, theme.sunken}); got < readable {
						t.Errorf("%v, %s: link %.2f", accent, name, got)
					}
					if got := contrast(theme.rim(accent), theme.card); got < visible {
						t.Errorf("%v, %s: rim of a button %.2f", accent, name, got)
					}
				}
			}
		}
	}
}

func TestAnAccentThatReadsWellIsLeftAlone(t *testing.T) {
	accent, err := parseRGB(DefaultAccent)
	if err != nil {
		t.Fatal(err)
	}
	if got := light.link(accent); got != accent {
		t.Errorf("link %v, want %v", got, accent)
	}
	for _, theme := range []theme{light, dark} {
		if got := theme.fill(accent); got != accent {
			t.Errorf("button %v, want %v", got, accent)
		}
	}
}
