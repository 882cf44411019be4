package humanize_test

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// Numbers for people have the digits that matter, and no more.
func Example() {
	burn := 14.4
	fmt.Println(humanize.Count(1234567), humanize.Objective(0.9995), humanize.BurnRate(&burn), humanize.BurnRate(nil))
	// Output: 1,234,567 99.95 14.4 –
}
