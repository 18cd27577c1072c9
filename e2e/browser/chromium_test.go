package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// chromium is one browser process for all tests; each test has profiles of its
// own in it.
var chromium struct {
	once   sync.Once
	ctx    context.Context //nolint:containedctx // chromedp keeps the browser in it
	stop   []func()
	failed string
}

func TestMain(m *testing.M) {
	harness.Main(m, func() {
		for _, stop := range slices.Backward(chromium.stop) {
			stop()
		}
	})
}

// browserOf starts Chromium on first use.
func browserOf(t *testing.T) context.Context {
	t.Helper()
	chromium.once.Do(startChromium)
	if chromium.failed != "" {
		t.Fatal(chromium.failed)
	}
	return chromium.ctx
}

func startChromium() {
	// The headless shell is Chromium without windows. It takes a third of the
	// processor time.
	path := ""
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		chromium.failed = "there is no Chromium; install the Debian package chromium-headless-shell"
		return
	}
	dir, err := os.MkdirTemp("", "sso-chromium-")
	if err != nil {
		chromium.failed = err.Error()
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		// The names of the sites exist in this browser alone.
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopBrowser := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	chromium.stop = append(chromium.stop, func() { _ = os.RemoveAll(dir) }, stopAllocator, stopBrowser)
	if err := chromedp.Do(ctx); err != nil {
		chromium.failed = "starting Chromium: " + err.Error()
		return
	}
	chromium.ctx = ctx
}

// outDir is where pictures of the pages go; it is not committed.
func outDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../out")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
