/* A program in C, for the library. */
void print_name(void);

int main(void)
{
	print_name();
	return 0;
}
