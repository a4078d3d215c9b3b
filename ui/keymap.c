/* Names of keys, and finding what one does. */
#include "ui/keymap.h"

#include <stdio.h>

#include "base/array.h"
#include "ui/widget/text.h"

static const struct {
	int key;
	const char *name;
} names[] = {
	{ KEY_ESCAPE, "esc" },
	{ KEY_RETURN, "enter" },
	{ '\n', "enter" },
	{ '\t', "tab" },
	{ ' ', "space" },
	{ KEY_TERMINAL(KEY_UP), "up" },
	{ KEY_TERMINAL(KEY_DOWN), "down" },
	{ KEY_TERMINAL(KEY_LEFT), "left" },
	{ KEY_TERMINAL(KEY_RIGHT), "right" },
	{ KEY_TERMINAL(KEY_PPAGE), "PgUp" },
	{ KEY_TERMINAL(KEY_NPAGE), "PgDn" },
	{ KEY_TERMINAL(KEY_HOME), "home" },
	{ KEY_TERMINAL(KEY_END), "end" },
	{ KEY_TERMINAL(KEY_ENTER), "enter" },
	{ KEY_TERMINAL(KEY_BACKSPACE), "backspace" },
	{ KEY_TERMINAL(KEY_DC), "del" },
};

void keymap_name(int key, char ret[KEY_NAME_SIZE])
{
	ret[0] = 0;
	for (size_t i = 0; i < COUNT(names); i++)
		if (names[i].key == key) {
			snprintf(ret, KEY_NAME_SIZE, "%s", names[i].name);
			return;
		}
	if (key > 0 && key < ' ')
		snprintf(ret, KEY_NAME_SIZE, "^%c", key + '@');
	else if (key >= KEY_ABOVE)
		snprintf(ret, KEY_NAME_SIZE, "key %d", (key - KEY_ABOVE) & 0xffff);
	else
		(void)text_append(ret, KEY_NAME_SIZE, key);
}

const struct keybind *keymap_find(const struct keybind *table, int key)
{
	for (const struct keybind *k = table; k->help; k++) {
		if (k->key == key)
			return k;
		for (int i = 0; i < KEY_ALIASES && k->also[i]; i++)
			if (k->also[i] == key)
				return k;
	}
	return NULL;
}
