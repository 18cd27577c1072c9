package licenseclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A Listener is where the browser brings the answer: a loopback port that was
// free.
type Listener struct {
	// RedirectURI is http://localhost with the port.
	RedirectURI string

	server  *http.Server
	answers chan url.Values
}

// Listen begins to listen.
func Listen() (*Listener, error) {
	socket, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, err
	}
	l := &Listener{
		RedirectURI: fmt.Sprintf("http://localhost:%d", socket.Addr().(*net.TCPAddr).Port),
		answers:     make(chan url.Values, 16),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", l.arrive)
	mux.HandleFunc("POST /fragment", l.fragment)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	l.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = l.server.Serve(socket) }() // ends with Close
	return l, nil
}

// Close ends it.
func (l *Listener) Close() { _ = l.server.Close() }

// Answer waits for what the browser brings: the parameters of the query, or of
// the fragment.
func (l *Listener) Answer(ctx context.Context) (url.Values, error) {
	select {
	case answer := <-l.answers:
		return answer, nil
	case <-ctx.Done():
		return nil, errors.New("no browser came back")
	}
}

// Arrived says whether an answer waits that nobody took.
func (l *Listener) Arrived() bool { return len(l.answers) > 0 }

// FragmentPage is what the listener answers a browser with that brings nothing
// in its query: its script posts the fragment, which no server is sent.
const FragmentPage = `<!doctype html>
<html lang="en">
<title>Licensed software</title>
<p id="said">One moment…</p>
<script>
fetch("/fragment", {method: "POST", body: location.hash.slice(1)}).then((r) => {
	history.replaceState(null, "", "/");
	document.getElementById("said").textContent = r.ok ? "You can go back to the application." : "Nothing came.";
});
</script>
</html>
`

// arrive takes a code, or an error, from the query.
func (l *Listener) arrive(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if r.URL.RawQuery == "" {
		_, _ = io.WriteString(w, FragmentPage)
		return
	}
	l.answers <- r.URL.Query()
	_, _ = io.WriteString(w, "<!doctype html>\n<html lang=\"en\">\n<title>Licensed software</title>\n<p>You can go back to the application.</p>\n</html>\n")
}

// fragment takes what the script of the page posts.
func (l *Listener) fragment(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := url.ParseQuery(string(body))
	if err != nil || len(answer) == 0 {
		http.Error(w, "the fragment has no parameters", http.StatusBadRequest)
		return
	}
	l.answers <- answer
	w.WriteHeader(http.StatusNoContent)
}
