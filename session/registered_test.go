package session_test

import (
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/session"
)

func TestASessionKeepsWhenTheAccountOfItsUserWasMade(t *testing.T) {
	at := time.Date(2019, 4, 27, 12, 41, 2, 0, time.UTC).Unix()
	nodes, _, _ := formats(t, session.Policy{})
	for i, writer := range nodes {
		for name, in := range map[string]session.SignIn{
			"alone":                     {User: session.User{Registered: at}},
			"with all else":             {User: session.User{Registered: at, Avatar: "https://a.example/a", ProviderID: "17", Mark: "bWFyaw", Groups: []string{"a", "b"}}, Agent: "Mozilla", From: "192.0.2.1"},
			"with a device alone":       {User: session.User{Registered: at}, Agent: "Mozilla"},
			"not known":                 {User: session.User{ProviderID: "17", Mark: "bWFyaw"}, From: "192.0.2.1"},
			"not known, nor a provider": {Agent: "Mozilla"},
		} {
			in.User.Subject, in.User.Name = "subject of "+name, "zoe"
			token, begun, err := writer.Begin(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for j, reader := range nodes {
				read, err := reader.Check(t.Context(), token.Encode())
				if err != nil {
					t.Fatal(err)
				}
				listed, err := reader.OfUser(t.Context(), in.User.Subject)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range append(listed, begun, read) {
					u := s.User()
					if u.Registered != in.User.Registered || u.ProviderID != in.User.ProviderID || u.Mark != in.User.Mark || u.Avatar != in.User.Avatar || len(u.Groups) != len(in.User.Groups) {
						t.Errorf("%s, written by node %d, read by node %d: %+v", name, i, j, u)
					}
				}
				for _, s := range listed {
					if s.Agent() != in.Agent || s.From() != in.From {
						t.Errorf("%s, written by node %d, read by node %d: listed with %q from %q", name, i, j, s.Agent(), s.From())
					}
				}
			}
			if err := writer.End(t.Context(), begun.Key()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
