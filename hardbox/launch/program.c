/* hardbox-launch as a program of its own.  Run by: the Python front, and people with a compiled plan. */
#include "program.h"

int main(int argc, char **argv)
{
	return launcher_main(argc, argv);
}
