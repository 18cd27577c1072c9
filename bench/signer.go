package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// rawSlice is how long raw signatures are measured at a time.
const rawSlice = 300 * time.Millisecond

// signer makes signatures and nothing around them, on the core that Caddy has.
// For every line with an algorithm it answers the nanoseconds that one takes.
func signer() error {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	message := make([]byte, 700) // about what a token's header and claims are
	sign := map[string]func(digest []byte) error{
		"RS256": func(digest []byte) error {
			_, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest)
			return err
		},
		"ES256": func(digest []byte) error {
			_, err := ecdsa.SignASN1(rand.Reader, ecKey, digest)
			return err
		},
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		one, ok := sign[lines.Text()]
		if !ok {
			return fmt.Errorf("no algorithm %q", lines.Text())
		}
		before, err := cpu(os.Getpid())
		if err != nil {
			return err
		}
		n := 0
		for begun := time.Now(); time.Since(begun) < rawSlice; n++ {
			digest := sha256.Sum256(message)
			if err := one(digest[:]); err != nil {
				return err
			}
		}
		after, err := cpu(os.Getpid())
		if err != nil {
			return err
		}
		fmt.Println(int64(after-before) / int64(n))
	}
	return nil
}

// A rawSigner is the signer at the other end of two pipes.
type rawSigner struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Scanner
}

func startSigner(ctx context.Context) (*rawSigner, error) {
	cmd, err := helper(ctx, caddyCore, "signer")
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the signer: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the signer: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the signer: %w", err)
	}
	s := &rawSigner{cmd: cmd, in: in, answers: bufio.NewScanner(out)}
	if !s.answers.Scan() {
		return nil, errors.New("starting the signer: it did not start")
	}
	return s, nil
}

// measure returns the processor time of one signature.
func (s *rawSigner) measure(alg string) (time.Duration, error) {
	if _, err := fmt.Fprintln(s.in, alg); err != nil {
		return 0, fmt.Errorf("asking the signer: %w", err)
	}
	if !s.answers.Scan() {
		return 0, errors.New("asking the signer: it did not answer")
	}
	var ns int64
	if _, err := fmt.Sscan(s.answers.Text(), &ns); err != nil {
		return 0, fmt.Errorf("asking the signer: %w", err)
	}
	return time.Duration(ns), nil
}

func (s *rawSigner) close() {
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// besideSigner measures with a signer on Caddy's core, and this program alone on
// the other.
func besideSigner(ctx context.Context, measure func(*rawSigner) error) (err error) {
	signatures, err := startSigner(ctx)
	if err != nil {
		return err
	}
	defer signatures.close()
	if err := pinSelf(ctx, loadCore); err != nil {
		return err
	}
	before := runtime.GOMAXPROCS(1)
	defer func() {
		runtime.GOMAXPROCS(before)
		err = errors.Join(err, pinSelf(context.WithoutCancel(ctx), bothCores))
	}()
	return measure(signatures)
}
