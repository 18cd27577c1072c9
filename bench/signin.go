package main

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// signInAll signs users in as browsers do: from a page behind the gate over the
// hosted page and back. It returns the Cookie header that each browser would
// send to the site, if the site had a domain of its own.
func signInAll(site string, users []string) ([]string, error) {
	type result struct {
		i      int
		cookie string
		err    error
	}
	const atOnce = 8
	turns, results := make(chan int), make(chan result)
	for range atOnce {
		go func() {
			for i := range turns {
				cookie, err := signIn(site, users[i])
				results <- result{i, cookie, err}
			}
		}()
	}
	go func() {
		defer close(turns)
		for i := range users {
			turns <- i
		}
	}()
	cookies := make([]string, len(users))
	var failed error
	for range users {
		one := <-results
		cookies[one.i] = one.cookie
		if one.err != nil && failed == nil {
			failed = fmt.Errorf("signing in %s: %w", users[one.i], one.err)
		}
	}
	return cookies, failed
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	transaction = regexp.MustCompile(`name="transaction" value="([^"]*)"`)
	refresh     = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)
)

func signIn(site, user string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar}
	page, at, err := text(browser.Do(navigation("http://" + site + "/")))
	if err != nil {
		return "", err
	}
	action, hidden := formAction.FindStringSubmatch(page), transaction.FindStringSubmatch(page)
	if action == nil || hidden == nil {
		return "", fmt.Errorf("%s is no sign-in page", at.Path)
	}
	target, err := at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return "", fmt.Errorf("the sign-in form: %w", err)
	}
	page, at, err = text(browser.PostForm(target.String(), url.Values{
		"username": {user}, "password": {password}, "transaction": {html.UnescapeString(hidden[1])},
	}))
	if err != nil {
		return "", err
	}
	onward := refresh.FindStringSubmatch(page)
	if onward == nil {
		return "", fmt.Errorf("%s leads nowhere", at.Path)
	}
	if target, err = at.Parse(html.UnescapeString(onward[1])); err != nil {
		return "", fmt.Errorf("the way on: %w", err)
	}
	if _, at, err = text(browser.Do(navigation(target.String()))); err != nil {
		return "", err
	}
	if at.Host != site {
		return "", fmt.Errorf("the sign-in ended at %s%s", at.Host, at.Path)
	}
	sent := []string{"theme=dark"} // an application has cookies, too
	for _, c := range jar.Cookies(at) {
		if strings.HasPrefix(c.Name, "caddy_sso_site_") || strings.HasPrefix(c.Name, "caddy_sso_gate_") {
			sent = append(sent, c.Name+"="+c.Value)
		}
	}
	if len(sent) != 3 {
		return "", errors.New("the gate did not set a site and a sign-in cookie")
	}
	return strings.Join(sent, "; "), nil
}

// navigation is a request for a page, as the gate tells it from a script's.
func navigation(target string) *http.Request {
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		panic(err) // the target is ours
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	return req
}

// text reads an answer, and says where it came from after all redirects.
func text(resp *http.Response, err error) (string, *url.URL, error) {
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s answered %s", resp.Request.URL.Path, resp.Status)
	}
	return string(body), resp.Request.URL, nil
}
