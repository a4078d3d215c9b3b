#ifndef UI_KEYMAP_H
#define UI_KEYMAP_H

#include <curses.h>
#include <stddef.h>

#include "ui/screen.h"

/* Keys are code points; the terminal's own (arrows, ...) stand above them all. */
enum { KEY_ABOVE = 0x200000, KEY_ESCAPE = 27, KEY_RETURN = '\r', KEY_NAME_SIZE = 16 };
#define KEY_TERMINAL(k) (KEY_ABOVE + (k))

/* What a key calls itself: "enter", "esc", "PgUp", "^L", "j". */
void keymap_name(int key, char ret[KEY_NAME_SIZE]);
/* The binding of a key in a table that ends with {0}; NULL: none. */
const struct keybind *keymap_find(const struct keybind *table, int key);

/* Keys that mean the same on every screen: help, quit, charts, redraw. */
extern const struct keybind keys_everywhere[];

#endif
