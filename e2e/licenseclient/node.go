package licenseclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// Node is the client in Node, as a process.
type Node struct {
	// URL is where somebody has to sign in.
	URL string

	// RedirectURI is where the browser brings the answer.
	RedirectURI string

	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr *strings.Builder
}

// NodeOptions are what it is told.
type NodeOptions struct {
	API          string `json:"api"`
	Backend      string `json:"backend"`
	APIKey       string `json:"apiKey"`
	SharedKey    string `json:"sharedKey"`
	Product      string `json:"product"`
	Account      string `json:"account"`
	Hardware     string `json:"hardware"`
	ResponseType string `json:"responseType,omitempty"`
}

// A NodeActivation is what came of it.
type NodeActivation struct {
	Status int    // of the answer to the activation
	Body   string // of that answer
	Sent   string // the body that was sent

	// Answer is what the browser brought.
	Answer map[string]string
}

// StartNode starts the client, which lies in a folder below e2e, and waits
// until it knows where to sign in.
func StartNode(ctx context.Context, e2e string, o NodeOptions) (*Node, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("there is no Node; install the Debian package nodejs")
	}
	told, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	n := &Node{stderr: new(strings.Builder)}
	n.cmd = exec.CommandContext(ctx, node, filepath.Join(e2e, "licenseclient", "node", "client.mjs"), string(told))
	n.cmd.Stderr = n.stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	n.lines = bufio.NewScanner(out)
	n.lines.Buffer(nil, 1<<20)
	line, err := n.next()
	if err != nil {
		n.Stop()
		return nil, err
	}
	n.URL, n.RedirectURI = line.URL, line.RedirectURI
	return n, nil
}

// Finish waits for the answer and the activation.
func (n *Node) Finish() (NodeActivation, error) {
	defer n.Stop()
	line, err := n.next()
	if err != nil {
		return NodeActivation{}, err
	}
	a := NodeActivation{Answer: line.Answer}
	if a.Answer["error"] != "" {
		return a, nil
	}
	if line, err = n.next(); err != nil {
		return a, err
	}
	a.Status, a.Body, a.Sent = line.Status, line.Body, line.Sent
	return a, nil
}

// Stop ends the process, if it did not end by itself.
func (n *Node) Stop() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

type nodeLine struct {
	Failed      string            `json:"failed"`
	URL         string            `json:"url"`
	RedirectURI string            `json:"redirectURI"`
	Answer      map[string]string `json:"answer"`
	Status      int               `json:"status"`
	Body        string            `json:"body"`
	Sent        string            `json:"sent"`
}

func (n *Node) next() (nodeLine, error) {
	var line nodeLine
	if !n.lines.Scan() {
		err := n.lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return line, fmt.Errorf("the client in Node: %w: %s", err, n.stderr)
	}
	if err := json.Unmarshal(n.lines.Bytes(), &line); err != nil {
		return line, fmt.Errorf("the client in Node: %w: %s", err, n.lines.Text())
	}
	if line.Failed == "sso_url" {
		return line, ReadError(line.Status, []byte(line.Body))
	}
	if line.Failed != "" {
		return line, errors.New("the client in Node: " + line.Failed)
	}
	return line, nil
}
