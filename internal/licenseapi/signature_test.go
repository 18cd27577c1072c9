package licenseapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/keys/keystest"
	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/memory"
)

func publicKey(t *testing.T, k *licenseapi.SignatureKey) string {
	t.Helper()
	public, err := k.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(public)
}

func TestASignatureKeyIsMadeOnceHoweverManyComeAtOnce(t *testing.T) {
	shared := keystest.NewVault()
	path := filepath.Join(t.TempDir(), "new", "folder", "key.pem")
	for name, open := range map[string]func() *licenseapi.SignatureKey{
		"in a file":  func() *licenseapi.SignatureKey { return licenseapi.SignatureKeyFile(path) },
		"in a vault": func() *licenseapi.SignatureKey { return licenseapi.SignatureKeyVault(shared) },
	} {
		t.Run(name, func(t *testing.T) {
			var made [4]string
			var wait sync.WaitGroup
			for i := range made {
				wait.Go(func() {
					public, err := open().Public(t.Context())
					if err != nil {
						t.Error(err)
					}
					made[i] = string(public)
				})
			}
			wait.Wait()
			for _, public := range made {
				if public != made[0] || public == "" {
					t.Fatal("there are several keys")
				}
			}
			if publicKey(t, open()) != made[0] {
				t.Error("it is another one later")
			}
		})
	}
	found, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v: something is left behind", found, err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", stat.Mode(), err)
	}
}

func TestASignatureKeyMayBeGiven(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalPKCS8PrivateKey(elliptical)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for _, c := range []struct {
		name string
		text []byte
		want string // of the error
	}{
		{"PKCS 1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), ""},
		{"PKCS 8", block("PRIVATE KEY", pkcs8), ""},
		{"1024 bits", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short)), "has 1024 bits; expected 2048 to 8192"},
		{"another algorithm", block("PRIVATE KEY", ec), "is no RSA key in PEM; make one with: openssl genrsa"},
		{"a certificate", block("CERTIFICATE", pkcs8[:100]), "is no RSA key in PEM"},
		{"no PEM", pkcs8, "is no RSA key in PEM"},
		{"an empty file", nil, "is no RSA key in PEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			k := licenseapi.SignatureKeyFile(path)
			_, err := k.Sign(t.Context(), []byte("x"))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != string(c.text) {
				t.Error("the file has changed")
			}
			if got := fmt.Sprintf("%v %+v %#v", k, k, k); got != "[redacted] [redacted] [redacted]" {
				t.Errorf("it prints %s", got)
			}
		})
	}
}

func TestAFolderThatCannotBeWrittenIsSaidSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := licenseapi.SignatureKeyFile(filepath.Join(file, "key.pem")).Public(t.Context())
	if err == nil || !strings.Contains(err.Error(), "signature_key: ") {
		t.Error(err)
	}
}

var errDown = fmt.Errorf("dialing: %w", storage.ErrUnavailable)

// A vault that does not answer is asked again.
func TestAVaultMayComeUpLater(t *testing.T) {
	v := &lateVault{Vault: keystest.NewVault(), err: errDown}
	k := licenseapi.SignatureKeyVault(v)
	if _, err := k.Public(t.Context()); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	v.err = nil
	if publicKey(t, k) == "" {
		t.Error("no key")
	}
}

// Clients have the public half built in, so the key has to outlive whatever
// keeps it.
func TestTheKeyIsRenewedInItsVault(t *testing.T) {
	shared := memory.New(memory.Options{})
	v := &lateVault{Vault: keys.NewStoreVault(shared, make([]byte, 32), nil)}
	k := licenseapi.SignatureKeyVault(v)
	public := publicKey(t, k)
	if err := k.Maintain(t.Context()); err != nil || v.updates != 2 {
		t.Errorf("%v after %d updates", err, v.updates)
	}
	lost := &lateVault{Vault: keystest.NewVault()}
	v.Vault = lost
	if err := k.Maintain(t.Context()); err != nil || publicKey(t, k) != public || publicKey(t, licenseapi.SignatureKeyVault(lost)) != public {
		t.Errorf("a vault that lost the key has another: %v", err)
	}
	v.err = errDown
	if err := k.Maintain(t.Context()); !errors.Is(err, errDown) || publicKey(t, k) != public {
		t.Errorf("a vault that is away: %v", err)
	}
	file := licenseapi.SignatureKeyFile(filepath.Join(t.TempDir(), "key.pem"))
	if err := errors.Join(file.Load(t.Context()), file.Maintain(t.Context())); err != nil {
		t.Error(err)
	}
}

// A store came back empty, and a node that started then has made a key before the
// one that licensed software knows was written back.
func TestTheOldestSignatureKeyIsThatOfAllNodes(t *testing.T) {
	v := &lateVault{Vault: keystest.NewVault()}
	lives := licenseapi.SignatureKeyVault(v)
	public := publicKey(t, lives)
	v.Vault = keystest.NewVault()
	starts := licenseapi.SignatureKeyVault(v)
	if publicKey(t, starts) == public {
		t.Fatal("the vault lost nothing")
	}
	for _, k := range []*licenseapi.SignatureKey{starts, lives, starts, lives} {
		if err := k.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if publicKey(t, lives) != public || publicKey(t, starts) != public || publicKey(t, licenseapi.SignatureKeyVault(v)) != public {
		t.Error("the nodes sign with several keys, or with the wrong one")
	}
	written := v.updates
	if err := errors.Join(lives.Refresh(t.Context()), starts.Refresh(t.Context())); err != nil || v.updates != written {
		t.Errorf("%v after %d updates by nodes that agree", err, v.updates-written)
	}
}

// A node that comes up while the store is away signs with what its process saw.
func TestAKeyIsRecalledWhileTheVaultIsAway(t *testing.T) {
	v := &lateVault{Vault: keystest.NewVault()}
	public := publicKey(t, licenseapi.SignatureKeyVault(v))
	v.err = errDown
	if got := publicKey(t, licenseapi.SignatureKeyVault(&recaller{v})); got != public {
		t.Error("it is another key")
	}
}

// A disk that is full takes no key away that is there.
func TestAKeyThatIsStoredIsReadWhereItCannotBeRenewed(t *testing.T) {
	v := &lateVault{Vault: keystest.NewVault()}
	public := publicKey(t, licenseapi.SignatureKeyVault(v))
	v.err = errDown
	if got := publicKey(t, licenseapi.SignatureKeyVault(v)); got != public {
		t.Error("it is another key")
	}
}

type lateVault struct {
	keys.Vault
	err     error
	updates int
}

func (v *lateVault) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	if v.err != nil {
		return nil, v.err
	}
	v.updates++
	return v.Vault.Update(ctx, name, change)
}

// A recaller knows what its vault had.
type recaller struct{ *lateVault }

func (r *recaller) Recall(name string) ([]byte, bool) {
	blob, ok, err := r.Vault.Load(context.Background(), name)
	return blob, ok && err == nil
}
