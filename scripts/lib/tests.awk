# The tests in the log of a stage, which are lines "ok - NAME", "ok - NAME # SKIP WHY" and
# "not ok - NAME # WHY", the latter with what is said of it up to the next one.  Prints those that
# failed, or with xml=yes the stage as JUnit has it: -v stage=NAME -v took=SECONDS -v good=yes

function quote(text) {
	gsub(/[\001-\010\013-\037]/, "", text)
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	gsub(/"/, "\\&quot;", text)
	return text
}

function put(name, element, text) {
	cases = cases "    <testcase classname=\"" quote(stage) "\" name=\"" quote(name) "\"" \
		(element ? "><" element ">" quote(text) "</" element "></testcase>\n" : "/>\n")
	tests++
	count[element]++
}

function end_of_test() {
	if (name == "")
		return
	put(name, element, text)
	if (!xml && element == "failure")
		printf "%s", text
	name = ""
}

{ end[NR % 20] = $0 }

/^(not )?ok - |^[0-9]+ passed, |^1\.\.[0-9]+$|^# logs: / {
	end_of_test()
	if (!/ok - /) {
		if (/^# logs: / && !xml && count["failure"] > seen) {
			print "    " $0
			seen = count["failure"]
		}
		next
	}
	name = $0
	sub(/^(not )?ok - /, "", name)
	element = /^not / ? "failure" : / # SKIP / ? "skipped" : ""
	text = element == "skipped" ? substr(name, index(name, " # SKIP ") + 8) : "    " $0 "\n"
	sub(/ # .*/, "", name)
	lines = 0
	next
}

# What is said before the first test belongs to none.
name != "" && element == "failure" && lines++ < 20 { text = text "    " $0 "\n" }

END {
	end_of_test()
	# It says what is wrong at its end, or as nobody could.
	if (good != "yes" && !count["failure"]) {
		text = ""
		for (i = NR + 1; i <= NR + 20; i++)
			if (i % 20 in end)
				text = text "    " end[i % 20] "\n"
		put(stage, "failure", text)
		if (!xml)
			printf "%s", text
	} else if (!tests) {
		put(stage)
	}
	if (xml)
		printf "  <testsuite name=\"%s\" time=\"%d\" tests=\"%d\" failures=\"%d\" skipped=\"%d\">\n%s  </testsuite>\n",
			quote(stage), took, tests, count["failure"], count["skipped"], cases
}
