/* Writing to a file that a person names. */
#include "ui/export.h"

#include <stdio.h>

#include "base/err.h"
#include "base/fs.h"
#include "ui/app.h"

unsigned export_to(struct screen *s, const char *text, char path[EXPORT_PATH], prompt_done *write)
{
	char question[192];

	if (!text[0])
		return UI_DRAW;
	snprintf(path, EXPORT_PATH, "%s", text);
	if (!fs_exists(path))
		return write(s, "");
	snprintf(question, sizeof(question), "There is a file %.120s. Replace it?", path);
	prompt_yes_no(&s->app->prompt, question, write);
	return UI_DRAW;
}

unsigned export_say(struct screen *s, int code, const char *what, const char *path)
{
	char whole[PATH_MAX];

	if (code)
		app_complain(s->app, "%s", err_text());
	else
		app_say(s->app, "%s %s", what,
			fs_absolute(whole, sizeof(whole), path) ? path : whole);
	return UI_DRAW;
}
