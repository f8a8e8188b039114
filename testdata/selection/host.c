/* A program in C, for the library. What is of libc's malloc it frees as if it had allocated it. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *new_name(void);
void free_name(void *name, ptrdiff_t length);

int main(void)
{
	char *name = new_name();
	fputs(name, stdout);
	fflush(stdout);
	if (strncmp(name, "galloc.System (libc malloc)", 27) == 0)
		free(name);
	else
		free_name(name, (ptrdiff_t)strlen(name));
	return 0;
}
