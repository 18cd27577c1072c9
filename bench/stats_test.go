package main

import (
	"slices"
	"testing"
	"time"
)

// rated is a slice of one second with so many answers.
func rated(requests int) slice {
	return slice{requests: requests, seconds: 1, cpu: time.Second}
}

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"nothing", nil, 0},
		{"one value", []float64{3}, 3},
		{"an odd number, unsorted", []float64{9, 1, 5}, 5},
		{"an even number", []float64{8, 2, 4, 6}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := slices.Clone(c.values)
			if got := median(c.values); got != c.want {
				t.Errorf("median is %v, want %v", got, c.want)
			}
			if !slices.Equal(given, c.values) {
				t.Error("the values were reordered")
			}
		})
	}
}

func TestRatiosAreOfMediansAndOfPairs(t *testing.T) {
	base := []slice{rated(100), rated(200), rated(400)}
	row := []slice{rated(90), rated(100), rated(300)} // 0.9, 0.5, 0.75
	ofMedians, ofPairs := ratios(row, base)
	if ofMedians != 0.5 || ofPairs != 0.75 {
		t.Errorf("ratios are %v and %v, want 0.5 and 0.75", ofMedians, ofPairs)
	}
}

func TestEveryRowHasEveryPlaceEquallyOften(t *testing.T) {
	const rows = 5
	var places [rows][rows]int
	for round := range 4 * rows {
		o := order(rows, round)
		if sorted := slices.Sorted(slices.Values(o)); !slices.Equal(sorted, []int{0, 1, 2, 3, 4}) {
			t.Fatalf("round %d measures %v", round, o)
		}
		for place, row := range o {
			places[row][place]++
		}
	}
	for row, counts := range places {
		for place, n := range counts {
			if n != 4 {
				t.Errorf("row %d has place %d %d times, want 4", row, place, n)
			}
		}
	}
}

func TestNeighbouringRoundsRunInOppositeOrder(t *testing.T) {
	there, back := order(3, 4), order(3, 5)
	slices.Reverse(back)
	if !slices.Equal(there, back) {
		t.Errorf("round 4 is %v and round 5 reversed %v", there, back)
	}
}
