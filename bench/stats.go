package main

import "slices"

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

// errorsIn counts the wrong answers of a row. One is enough to void it.
func errorsIn(all []slice) int {
	n := 0
	for _, s := range all {
		n += s.errors
	}
	return n
}
