package main

import (
	"strings"
	"testing"
)

// compared is a comparison of rows a, a2 and b with one rate a round each.
func compared(a, a2, b []slice) *comparison {
	return &comparison{
		title:  "T",
		rows:   []row{{name: "a"}, {name: "a2"}, {name: "b"}},
		slices: [][]slice{a, a2, b},
	}
}

func TestAReportSaysWhenItSaysNothing(t *testing.T) {
	wrong := rated(1000)
	wrong.wrong, wrong.status = 1, 429
	idle := rated(1000)
	idle.cpu /= 2
	for _, c := range []struct {
		name        string
		cmp         *comparison
		want        []string
		mustNotHave string
	}{
		{"a control that is close", compared([]slice{rated(1000)}, []slice{rated(1020)}, []slice{rated(900)}), []string{"| b |  | 900 | 0.900 |", "| b ÷ a | 0.900 ("}, "NOTHING"},
		{"a control that is off", compared([]slice{rated(1000)}, []slice{rated(1040)}, []slice{rated(900)}), []string{"# THIS RUN SAYS NOTHING: the control, a2 ÷ a", "| b ÷ a | void"}, ""},
		{"a control that is off in its pairs alone", compared(
			[]slice{rated(1000), rated(1100), rated(1200)}, []slice{rated(1100), rated(1160), rated(1000)}, []slice{rated(900)},
		), []string{"# THIS RUN SAYS NOTHING"}, ""},
		{"a wrong answer", compared([]slice{rated(1000)}, []slice{rated(1000)}, []slice{wrong}), []string{"| b |  | VOID |", "1 wrong answers, such as status 429", "| b ÷ a | void"}, "NOTHING"},
		{"a wrong answer of the base", compared([]slice{wrong}, []slice{rated(1000)}, []slice{rated(900)}), []string{"# THIS RUN SAYS NOTHING", "| b ÷ a | void"}, ""},
		{"a Caddy that was idle", compared([]slice{rated(1000)}, []slice{rated(1000)}, []slice{idle}), []string{"Row b: Caddy was busy for 50 %", "by CPU 2.000); Caddy was not busy"}, "Row a:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			c.cmp.write(&b)
			text := b.String() + "| b ÷ a | " + c.cmp.ratio("b", "a")
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("there is no %q in:\n%s", want, text)
				}
			}
			if c.mustNotHave != "" && strings.Contains(text, c.mustNotHave) {
				t.Errorf("there is %q in:\n%s", c.mustNotHave, text)
			}
		})
	}
}

func TestATokenRowIsVoidWithAWrongAnswerOrAnUnsteadyCore(t *testing.T) {
	wrong := rated(100)
	wrong.broken = 2
	steady := tokenRow{alg: "ES256", slices: []slice{rated(10_000)}, before: []float64{25}, after: []float64{25}}
	refused, unsteady := steady, steady
	refused.slices = []slice{wrong}
	unsteady.after = []float64{30}
	for _, c := range []struct {
		name, want, aim string
		row             tokenRow
	}{
		{"steady", "| ES256 | 10000 | 100.0 | 25.0 | 4.00 | 1.000 |", "100.0 µs, 4.00 ×", steady},
		{"refused", "| ES256 | VOID |", "| void |", refused},
		{"unsteady", "OFF: THIS ROW SAYS NOTHING", "| void |", unsteady},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := (&report{tokens: []tokenRow{c.row}}).markdown()
			for _, want := range []string{c.want, c.aim} {
				if !strings.Contains(text, want) {
					t.Errorf("there is no %q in:\n%s", want, text)
				}
			}
		})
	}
}

func TestGoBenchmarksAreRead(t *testing.T) {
	rows := parseBenchmarks("p", []byte(strings.Join([]string{
		"goos: linux",
		"BenchmarkCheck/1k/serial-2   \t 5000000\t       200.5 ns/op\t       410.2 bytes/session\t       0 B/op\t       0 allocs/op",
		"BenchmarkCheck/1k/serial-2   \t 5000000\t       300.5 ns/op\t       410.2 bytes/session\t       8 B/op\t       2 allocs/op",
		"BenchmarkCheck/1k/serial-2   \t 5000000\t       220.5 ns/op\t       410.2 bytes/session\t       0 B/op\t       0 allocs/op",
		"BenchmarkIssue/live=1000     \t 1000\t  1000 ns/op\t  600 B/code\t  500 B/op\t  7 allocs/op",
		"PASS",
	}, "\n")))
	if len(rows) != 2 {
		t.Fatalf("%d rows, want 2: %+v", len(rows), rows)
	}
	if r := rows[0]; r.name != "Check/1k/serial" || r.ns != 220.5 || r.bytes != 0 || r.allocs != 0 || r.perEntry != 410.2 {
		t.Errorf("first row: %+v", r)
	}
	if r := rows[1]; r.name != "Issue/live=1000" || r.ns != 1000 || r.bytes != 500 || r.allocs != 7 || r.perEntry != 600 {
		t.Errorf("second row: %+v", r)
	}
}
