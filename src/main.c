/* trimtab: with a verb, a command; without one, the workbench. */
#include <locale.h>

#include "cmd/cmd.h"

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C");
	return cmd_main(argc, argv);
}
