// SPDX-License-Identifier: Apache-2.0

// Package progress turns the numbers of a mover into what people read in a status. It is pure.
package progress

import (
	"fmt"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Of turns a mover's numbers into what people read. It never says 100 percent:
// only the report does.
func Of(s wire.Snapshot) *v1alpha1.ImportProgress {
	p := &v1alpha1.ImportProgress{
		Objects: v1alpha1.Counter{
			Done:  s.ObjectsDone,
			Total: s.ObjectsTotal,
			Text:  fmt.Sprintf("%d/%d", s.ObjectsDone, s.ObjectsTotal),
		},
		Bytes: v1alpha1.Counter{Done: s.BytesDone, Total: s.BytesTotal, Text: Size(s.BytesDone) + "/" + Size(s.BytesTotal)},
	}
	switch {
	case s.BytesTotal > 0:
		p.Percent = percent(s.BytesDone, s.BytesTotal)
	case s.ObjectsTotal > 0:
		p.Percent = percent(s.ObjectsDone, s.ObjectsTotal)
	}
	if s.BytesPerSecond > 0 {
		SetRate(p, s.BytesPerSecond)
		left := time.Duration(float64(s.BytesTotal-s.BytesDone) / float64(s.BytesPerSecond) * float64(time.Second))
		p.ETA = max(0, left).Round(time.Second).String()
	}
	return p
}

func percent(done, total int64) int32 {
	return int32(min(99, 100*(float64(done)/float64(total))))
}

// SetRate shows a rate, unless it is not known.
func SetRate(p *v1alpha1.ImportProgress, bytesPerSecond int64) {
	if bytesPerSecond > 0 {
		p.BytesPerSecond, p.Rate = bytesPerSecond, Size(bytesPerSecond)+"/s"
	}
}

// Size prints bytes with three digits at most, such as 84Mi or 1.2Gi.
func Size(n int64) string {
	f, unit := float64(n), ""
	for _, u := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if f < 10 && unit != "" {
		return fmt.Sprintf("%.1f%s", f, unit)
	}
	return fmt.Sprintf("%.0f%s", f, unit)
}
