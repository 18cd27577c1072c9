package main

import (
	"fmt"
	"slices"
)

// median of nothing is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}

// medianOf is the median of one figure of many slices.
func medianOf[T any](all []T, figure func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = figure(one)
	}
	return median(values)
}

// ratios are of two rows: of their medians, and the median of the ratios that
// they have in each round.
func ratios(row, base []slice) (ofMedians, ofPairs float64) {
	pairs := make([]float64, min(len(row), len(base)))
	for i := range pairs {
		pairs[i] = row[i].rate() / base[i].rate()
	}
	return medianOf(row, slice.rate) / medianOf(base, slice.rate), median(pairs)
}

// ratioByCPU is what the ratio of the rates would be if the processor time of
// Caddy were all that bounds them.
func ratioByCPU(row, base []slice) float64 {
	return medianOf(base, slice.cpuMicros) / medianOf(row, slice.cpuMicros)
}

// errorsIn counts what went wrong in a row. One error is enough to void it.
func errorsIn(all []slice) int {
	n := 0
	for _, s := range all {
		n += s.errors()
	}
	return n
}

// failures says what went wrong in a row.
func failures(all []slice) string {
	wrong, status, broken := 0, 0, 0
	for _, s := range all {
		wrong, broken, status = wrong+s.wrong, broken+s.broken, max(status, s.status)
	}
	switch {
	case wrong == 0 && broken == 0:
		return "0"
	case wrong == 0:
		return fmt.Sprintf("%d connections broken or over 2 s", broken)
	}
	return fmt.Sprintf("%d wrong answers, such as status %d; %d connections broken or over 2 s", wrong, status, broken)
}
