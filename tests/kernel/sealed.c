/* Writes a line, makes a folder if asked to (`sealed mkdir`), writes another, and ends with 3. */
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **words)
{
	write(1, "started\n", 8);
	if (count > 1)
		mkdir("/nonexistent/folder", 0700);
	write(1, "ended\n", 6);
	_exit(3);
	return words != 0;
}
