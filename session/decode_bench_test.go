package session

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

func BenchmarkDecode(b *testing.B) {
	for name, f := range map[string]records.Format{"format 1": records.JSON, "format 2": records.CBOR} {
		r := record{
			Version: 1, format: f, Subject: "0f8fad5b-d9cb-469f-a165-70867728950e", Name: "Firstname Lastname", Email: "user.abc@example.com",
			Groups: []string{"users", "editors"}, Signin: "local", Mark: "3q2-7wAAAAAAAAAAAAAAAA", Begun: 1767323045000, Expires: 1769323045000, Seen: 1767323045000,
			Idle: 86400000, Agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", From: "203.0.113.7",
		}
		value, err := r.encode()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeRecord(value); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+" encode", func(b *testing.B) {
			r, _ := decodeRecord(value)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.encode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
