package protocol

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

const large = 64 << 20

// A stream is a long connection through the gate. ended is closed once the
// client sees its end.
type stream struct {
	name  string
	ended chan struct{}
}

// openStreams opens one of each kind, and returns when each of them flows.
func openStreams(t *testing.T, r *rig, browser *harness.Client) []stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	streams := []stream{
		{"WebSocket", openWebSocket(ctx, t, r, browser)},
		{"event stream", openBody(ctx, t, browser, r.Gate+"/sse")},
		{"download", openBody(ctx, t, browser, r.Gate+"/download")},
		{"upload", openUpload(ctx, t, browser, r.Gate+"/upload")},
	}
	harness.Eventually(t, "all streams reach the backend", func() bool { return r.backend.Live() == len(streams) })
	return streams
}

func openWebSocket(ctx context.Context, t *testing.T, r *rig, browser *harness.Client) chan struct{} {
	t.Helper()
	conn, resp, err := websocket.Dial(ctx, r.Gate+"/ws", &websocket.DialOptions{HTTPClient: browser.HTTP()})
	if err != nil {
		t.Fatalf("opening a WebSocket: %v, %v", err, resp)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if err := conn.Write(ctx, websocket.MessageText, []byte("are you there")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.Read(ctx); err != nil || string(message) != "are you there" {
		t.Fatalf("the echo is %q, %v", message, err)
	}
	return whenOver(func() {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	})
}

func openBody(ctx context.Context, t *testing.T, browser *harness.Client, target string) chan struct{} {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	body := bufio.NewReader(resp.Body)
	if _, err := body.ReadByte(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %d: %v", target, resp.StatusCode, err)
	}
	return whenOver(func() { _, _ = io.Copy(io.Discard, body) })
}

func openUpload(ctx context.Context, t *testing.T, browser *harness.Client, target string) chan struct{} {
	t.Helper()
	body, feed := io.Pipe()
	t.Cleanup(func() { feed.Close() })
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := feed.Write(make([]byte, 4<<10)); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return whenOver(func() {
		if resp, err := browser.HTTP().Do(req); err == nil {
			resp.Body.Close()
		}
	})
}

func whenOver(f func()) chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		f()
	}()
	return over
}

func wantEnded(t *testing.T, r *rig, streams []stream) {
	t.Helper()
	overdue, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	for _, s := range streams {
		select {
		case <-s.ended:
		case <-overdue.Done():
			t.Errorf("the %s goes on after its session", s.name)
		}
	}
	harness.Eventually(t, "the backend's side ends, too", func() bool { return r.backend.Live() == 0 })
}

func TestEverySignOutEndsTheStreamsOfItsSessionAndNoOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		signOut func(t *testing.T, r *rig, browser *harness.Client)
	}{
		{"at the portal", func(t *testing.T, r *rig, browser *harness.Client) {
			submit(t, browser, r.Portal+"/sso/account")
		}},
		{"at the gate", func(t *testing.T, r *rig, browser *harness.Client) {
			submit(t, browser, r.Gate+"/oauth2/sign_out")
		}},
		{"by clear_sso", func(t *testing.T, r *rig, browser *harness.Client) {
			wantStatus(t, browser, r.Portal+"/api/oauth2/clear_sso", http.StatusNoContent)
		}},
		{"by signing in as another user", func(t *testing.T, r *rig, browser *harness.Client) {
			browser.SignIn(r.Portal+"/sso/sign_in?switch=1", harness.Admin)
		}},
		{"by the operator, one session", func(t *testing.T, r *rig, _ *harness.Client) {
			if out := r.server.SSO("session", "end", sessionOf(t, r, harness.Demo.Name)); out != "1 ended\n" {
				t.Errorf("the command said %q", out)
			}
		}},
		{"by the operator, a user", func(t *testing.T, r *rig, _ *harness.Client) {
			if out := r.server.SSO("user", "end", harness.Demo.Name); out != "1 ended\n" {
				t.Errorf("the command said %q", out)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			other := r.signedIn(t, harness.Admin)
			browser := r.signedIn(t, harness.Demo)
			streams := openStreams(t, r, browser)
			tt.signOut(t, r, browser)
			wantEnded(t, r, streams)
			wantStatus(t, browser, r.Gate+"/", http.StatusUnauthorized)
			if user := r.userAtBackend(t, other); user != harness.Admin.Name {
				t.Errorf("the other session is %q's", user)
			}
		})
	}
}

// submit opens a page and sends its form.
func submit(t *testing.T, browser *harness.Client, target string) {
	t.Helper()
	form, err := browser.Open(target).Form("")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Submit(form)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != http.StatusOK {
		t.Errorf("signing out ended at %s with %d", resp.URL, resp.Status)
	}
}

// sessionOf finds the ID of a user's session in what the command lists.
func sessionOf(t *testing.T, r *rig, user string) string {
	t.Helper()
	list := r.server.SSO("session", "list")
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == user {
			return fields[0]
		}
	}
	t.Fatalf("no session of %s is listed:\n%s", user, list)
	return ""
}

func TestStreamsWithoutASessionAreRefusedAndDoNotReachTheBackend(t *testing.T) {
	t.Parallel()
	r := start(t)
	unauthenticated := harness.NewClient(t)
	for _, path := range []string{"/sse", "/download?bytes=1", "/ws"} {
		wantStatus(t, unauthenticated, r.Gate+path, http.StatusUnauthorized)
	}
	_, resp, err := websocket.Dial(context.Background(), r.Gate+"/ws", &websocket.DialOptions{HTTPClient: unauthenticated.HTTP()})
	if err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the WebSocket's handshake: %v, %v", err, resp)
	}
	req, err := http.NewRequest(http.MethodPost, r.Gate+"/upload", strings.NewReader("some bytes"))
	if err != nil {
		t.Fatal(err)
	}
	upload, err := unauthenticated.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if upload.Status != http.StatusUnauthorized {
		t.Errorf("the upload was answered with %d", upload.Status)
	}
	if got := r.backend.Requests(); len(got) != 0 {
		t.Errorf("the backend saw %v", got)
	}
}

func TestLargeUploadsAndDownloadsPassWhole(t *testing.T) {
	t.Parallel()
	r := start(t)
	browser := r.signedIn(t, harness.Demo)

	req, err := http.NewRequest(http.MethodPost, r.Gate+"/upload", io.LimitReader(zeros{}, large))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var counted struct{ Bytes int }
	resp.JSON(t, &counted)
	if counted.Bytes != large {
		t.Errorf("the backend counted %d of %d bytes", counted.Bytes, large)
	}

	down, err := browser.HTTP().Get(r.Gate + "/download?bytes=67108864")
	if err != nil {
		t.Fatal(err)
	}
	defer down.Body.Close()
	if n, err := io.Copy(io.Discard, down.Body); err != nil || n != large {
		t.Errorf("%d of %d bytes came: %v", n, large, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
