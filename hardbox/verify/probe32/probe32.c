/* An i386 program without a C library: makes one system call and ends, by int 0x80.
 *
 * Run by: the probe, as `probe32` (it says hello) or `probe32 NUMBER ARG ARG ARG`; exit status
 * is the errno. Needs no 32-bit headers or libraries to be built. */
typedef unsigned int word;

static int call(word number, word a, word b, word c)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static word parse(const char *text)
{
	word value = 0;
	int negative = *text == '-';

	for (text += negative; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (word)(*text - '0');
	return negative ? 0u - value : value;
}

__attribute__((used)) void probe32(int argc, char **argv)
{
	static const char hello[] = "hello from i386\n";
	word a[4] = { 4, 1, (word)hello, sizeof(hello) - 1 };
	int result;

	for (int i = 0; argc > 1 && i < 4; i++)
		a[i] = i + 1 < argc ? parse(argv[i + 1]) : 0;
	result = call(a[0], a[1], a[2], a[3]);
	(void)call(1, result < 0 && result > -4096 ? (word)-result : 0, 0, 0);
	for (;;)
		;
}

__asm__(".globl _start\n_start:\n"
	"mov %esp, %eax\n"
	"lea 4(%eax), %ecx\n"
	"and $-16, %esp\n"
	"sub $8, %esp\n"
	"push %ecx\n"
	"push (%eax)\n"
	"call probe32\n");
