package blocks

import (
	"fmt"
	"testing"
	"time"
)

// many are blocks and what is remembered, as many as there may be.
func many(from, step int) (all []*Entry) {
	now := time.Now().UnixNano()
	for i := from; len(all) < (Max+MaxLifted)/step; i += step {
		all = append(all, at(user(fmt.Sprintf("user-%06d", i)), now, i%2 == 0))
	}
	return all
}

// BenchmarkMerge: what one change, and a page of another node, cost where there are as many
// entries as there may be, and how long those wait who ask meanwhile.
func BenchmarkMerge(b *testing.B) {
	for _, page := range []int{1, 250} {
		b.Run(fmt.Sprint(page, " of a full table"), func(b *testing.B) {
			var table Table
			table.merge(many(0, 1))
			now := time.Now().UnixNano()
			n := 0
			for b.Loop() {
				b.StopTimer()
				if n%(200*page) == 0 {
					table = Table{}
					table.merge(many(0, 1))
				}
				entries := make([]*Entry, page)
				for i := range entries {
					entries[i] = at(user(fmt.Sprintf("user-%06d-%d", n*977%200_000, n)), now, true)
					n++
				}
				b.StartTimer()
				table.merge(entries)
			}
		})
	}
}

// BenchmarkJoin: a node that knows nothing takes all that another knows, page by page.
func BenchmarkJoin(b *testing.B) {
	var full Table
	full.merge(many(0, 1))
	for b.Loop() {
		var empty Table
		digest := empty.Digest()
		for after := (*Subject)(nil); ; {
			page, next := full.Difference(&digest, after, 250)
			entries := make([]*Entry, len(page))
			for i := range page {
				entries[i] = &page[i]
			}
			empty.merge(entries)
			if after = next; after == nil {
				break
			}
		}
		if empty.size() != full.size() {
			b.Fatalf("%d of %d", empty.size(), full.size())
		}
	}
}
