-- What wrk sends: the same browser request for every row, with a cookie of its
-- own each time. Arguments: the file of cookies, the first of them to use, the
-- status that is expected, and what Location has to begin with ("-": none).

local cookies, turn, expected, location, head, tail
local threads = {}

-- Global, so that done() can ask for them.
wrong, last = 0, 0

function setup(thread)
	threads[#threads + 1] = thread
end

function init(args)
	cookies = {}
	for line in io.lines(args[1]) do
		cookies[#cookies + 1] = line
	end
	turn = tonumber(args[2]) % #cookies
	expected = tonumber(args[3])
	location = args[4]

	wrk.headers["Host"] = args[5]
	wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	wrk.headers["Accept-Language"] = "en-US,en;q=0.5"
	wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
	wrk.headers["Upgrade-Insecure-Requests"] = "1"
	wrk.headers["Sec-Fetch-Dest"] = "document"
	wrk.headers["Sec-Fetch-Mode"] = "navigate"
	wrk.headers["Sec-Fetch-Site"] = "same-origin"
	wrk.headers["Priority"] = "u=0, i"
	wrk.headers["Cookie"] = "@"
	local request = wrk.format("GET")
	local at = string.find(request, "Cookie: @", 1, true) + 7
	head, tail = string.sub(request, 1, at), string.sub(request, at + 2)
end

function request()
	turn = turn % #cookies + 1
	return head .. cookies[turn] .. tail
end

function response(status, headers)
	if status ~= expected or location ~= "-" and string.sub(headers["Location"] or "", 1, #location) ~= location then
		wrong, last = wrong + 1, status
	end
end

function done(summary, latency)
	local wrong, last = 0, 0
	for _, thread in ipairs(threads) do
		wrong, last = wrong + thread:get("wrong"), math.max(last, thread:get("last"))
	end
	local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
	io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99), wrong, last, broken))
end
