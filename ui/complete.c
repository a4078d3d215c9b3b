/* The last word of a line, completed. */
#include "ui/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/metric.h"
#include "db/run.h"
#include "ui/app.h"

enum { RUNS_OFFERED = 100 };

void complete_begin(struct complete *c, char line[PROMPT_TEXT], const char *before)
{
	const char *word = line;

	for (const char *p = line; *p; p++)
		if (*p == ' ' || strchr(before, *p))
			word = p + 1;
	*c = (struct complete){ .line = line, .word = word };
}

void complete_offer(struct complete *c, const char *candidate)
{
	const size_t used = strlen(c->list);
	size_t same = 0;

	if (strncmp(candidate, c->word, strlen(c->word)) != 0 ||
	    strlen(candidate) >= sizeof(c->common))
		return;
	if (c->n++) {
		while (c->common[same] && c->common[same] == candidate[same])
			same++;
		c->common[same] = 0;
	} else {
		snprintf(c->common, sizeof(c->common), "%s", candidate);
	}
	snprintf(c->list + used, sizeof(c->list) - used, "%s%s", used ? "  " : "", candidate);
}

/* A character of several bytes that candidates share in part is left out. */
static size_t whole(const char *text)
{
	size_t n = strlen(text), at = n;

	while (at && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (!at || (unsigned char)text[at - 1] < 0xc0)
		return n;
	return n - at + 1 < (text[at - 1] & 0x20 ? text[at - 1] & 0x10 ? 4u : 3u : 2u) ? at - 1 : n;
}

void complete_end(struct complete *c, bool open)
{
	const size_t from = (size_t)(c->word - c->line), room = PROMPT_TEXT - from;
	const size_t n = c->n == 1 ? strlen(c->common) : whole(c->common);

	if (!c->n || n + 2 > room)
		return;
	snprintf(c->line + from, room, "%.*s%s", (int)n, c->common, c->n == 1 && !open ? " " : "");
}

void complete_offer_keys(struct complete *c, struct app *app)
{
	char **word;
	size_t n;

	for (size_t i = 0; run_column_name(i); i++)
		complete_offer(c, run_column_name(i));
	if (app->store && !metric_keys(app->store, 0, &word, &n)) {
		for (size_t i = 0; i < n; i++)
			complete_offer(c, word[i]);
		free(word);
	}
	if (app->store && !run_setting_paths(app->store, &word, &n)) {
		for (size_t i = 0; i < n; i++)
			if (run_key_is(word[i]))
				complete_offer(c, word[i]);
		free(word);
	}
}

void complete_offer_runs(struct complete *c, struct app *app)
{
	const struct run_filter f = { .limit = RUNS_OFFERED };
	struct run_list l;

	complete_offer(c, "latest");
	if (!app->store || run_list(app->store, &f, &l))
		return;
	for (size_t i = 0; i < l.n; i++) {
		bool seen = strpbrk(l.run[i].name, " \"'\\") != NULL;

		for (size_t k = 0; k < i && !seen; k++)
			seen = !strcmp(l.run[k].name, l.run[i].name);
		if (!seen)
			complete_offer(c, l.run[i].name);
		if (*c->word)
			complete_offer(c, l.run[i].id);
	}
	run_list_done(&l);
}
