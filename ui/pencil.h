#ifndef UI_PENCIL_H
#define UI_PENCIL_H

#include <cairo-svg.h>
#include <cairo.h>

/*
 * cairo, loaded when a file is drawn and not before: with the twenty libraries
 * behind it, linking it would cost every start of trimtab a millisecond and more.
 */
#define PENCIL_EACH(F)                         \
	F(cairo_svg_surface_create_for_stream) \
	F(cairo_image_surface_create)          \
	F(cairo_surface_write_to_png_stream)   \
	F(cairo_surface_finish)                \
	F(cairo_surface_destroy)               \
	F(cairo_surface_status)                \
	F(cairo_status_to_string)              \
	F(cairo_create)                        \
	F(cairo_destroy)                       \
	F(cairo_status)                        \
	F(cairo_set_source_rgb)                \
	F(cairo_set_source_rgba)               \
	F(cairo_paint)                         \
	F(cairo_move_to)                       \
	F(cairo_line_to)                       \
	F(cairo_rectangle)                     \
	F(cairo_stroke)                        \
	F(cairo_fill)                          \
	F(cairo_set_line_width)                \
	F(cairo_set_dash)                      \
	F(cairo_select_font_face)              \
	F(cairo_set_font_size)                 \
	F(cairo_show_text)                     \
	F(cairo_text_extents)

struct pencil {
#define PENCIL_FIELD(f) __typeof__(f) *f;
	PENCIL_EACH(PENCIL_FIELD)
#undef PENCIL_FIELD
};

/* Stays loaded. TT_NOTFOUND: there is no cairo on this machine. */
int pencil_open(struct pencil *ret);

#endif
