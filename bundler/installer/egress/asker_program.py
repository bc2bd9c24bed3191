"""The program that asks a service from inside its network: a static ELF, beside the holder's in the same image.

    /bundler-asker PORT REQUEST

It connects to the port at 127.0.0.1 and ::1 in turn, again every 25 ms until that works, and says so: a line ``+``. Then
it sends REQUEST, prints what is answered until the other side closes, and ends with 0; with ``TOO_LONG`` where that is
more than ``LONGEST_ANSWER``. Without a REQUEST (an empty one) it ends with 0 once it is connected. It never gives up:
whoever started it does. An answer is printed in lines of letters, two for each byte, ``a`` to ``p`` for its upper and its
lower half (`decoded`): logs of engines keep lines, but not every byte (Docker 20.10 loses ends of long lines).

Below, each line has the bytes and, for people, the instructions that they are. Registers on amd64 and arm64: ``rbx``,
``w20`` the port; ``r12``, ``x21`` the request; ``r13``, ``x22`` what is left of it; ``r14``, ``x23`` what may still be
printed; ``r15``, ``x24`` the address family, 2 or 10; ``rbp``, ``x19`` the socket. What is read
stands on the stack, before that the address (``struct sockaddr_in`` or ``sockaddr_in6``) and the pause; 4096 bytes above
are the letters.

Sources: numbers of system calls from the kernel's ``arch/x86/entry/syscalls/syscall_64.tbl`` and
``include/uapi/asm-generic/unistd.h``; Intel SDM volume 2; Arm ARM C6; ip(7), ipv6(7). Assembled once with GNU as.
"""

from __future__ import annotations

from bundler.installer.egress.elf import executable

#: What it prints when it is connected, before the answer.
CONNECTED = b"+\n"
TOO_LONG = 3
#: Bytes, where they come in pieces that fill a page; it prints at most twice as much, and one more for each piece.
LONGEST_ANSWER = 0xF0000 // 2 - 0x100
_HALVES = bytes.maketrans(b"abcdefghijklmnop0123456789", b"0123456789abcdef__________")

_AMD64 = """
start:
488b742410 31c0                          | mov rsi, [rsp+16]; xor eax, eax
digit:
0fb60e 48ffc6 83e930 7807                | movzx ecx, byte [rsi]; inc rsi; sub ecx, 48; js parsed
6bc00a 01c8 ebee                         | imul eax, eax, 10; add eax, ecx; jmp digit
parsed:
86e0 89c3 4c8b642418                     | xchg al, ah; mov ebx, eax; mov r12, [rsp+24]
4531ed                                   | xor r13d, r13d
length:
43803c2c00 7405 49ffc5 ebf4              | cmp byte [r12+r13], 0; je measured; inc r13; jmp length
measured:
4881ec00400000 41be00000f00 41bf0a000000 | sub rsp, 16384; mov r14d, 0xf0000; mov r15d, 10
again:
4183f708 31c0 4c893c24 66895c2402        | xor r15d, 8; xor eax, eax; mov [rsp], r15; mov [rsp+2], bx
4889442408 4889442410 4889442418         | mov [rsp+8], rax; mov [rsp+16], rax; mov [rsp+24], rax
c74424047f000001 4183ff02 7409           | mov dword [rsp+4], 0x0100007f; cmp r15d, 2; je opened
89442404 c644241701                      | mov dword [rsp+4], eax; mov byte [rsp+23], 1
opened:
4489ff be01000000 31d2 b829000000        | mov edi, r15d; mov esi, 1; xor edx, edx; mov eax, 41
0f05 89c5 89ef 4889e6                    | syscall; mov ebp, eax; mov edi, ebp; mov rsi, rsp
ba1c000000 b82a000000 0f05 85c0          | mov edx, 28; mov eax, 42; syscall; test eax, eax
742c 89ef b803000000 0f05                | je connected; mov edi, ebp; mov eax, 3; syscall
31c0 48890424 c744240840787d01           | xor eax, eax; mov [rsp], rax; mov dword [rsp+8], 25000000
8944240c 4889e7 31f6 b823000000          | mov [rsp+12], eax; mov rdi, rsp; xor esi, esi; mov eax, 35
0f05 e977ffffff                          | syscall; jmp again
connected:
c704242b0a0000 bf01000000 4889e6         | mov dword [rsp], 0x0a2b; mov edi, 1; mov rsi, rsp
ba02000000 b801000000 0f05 4d85ed        | mov edx, 2; mov eax, 1; syscall; test r13, r13
0f8492000000                             | je ended
send:
89ef 4c89e6 4c89ea 41ba00400000          | mov edi, ebp; mov rsi, r12; mov rdx, r13; mov r10d, 0x4000
4531c0 4531c9 b82c000000 0f05            | xor r8d, r8d; xor r9d, r9d; mov eax, 44; syscall
4885c0 7e08 4901c4 4929c5                | test rax, rax; jle receive; add r12, rax; sub r13, rax
75d8                                     | jne send
receive:
89ef 4889e6 ba00100000 31c0              | mov edi, ebp; mov rsi, rsp; mov edx, 4096; xor eax, eax
0f05 4885c0 7e57 4889c1                  | syscall; test rax, rax; jle ended; mov rcx, rax
488d540001 4929d6 7853                   | lea rdx, [rax+rax+1]; sub r14, rdx; js too_long
4889e6 488dbc2400100000                  | mov rsi, rsp; lea rdi, [rsp+4096]
letters:
0fb606 48ffc6 4189c0 c1e804              | movzx eax, byte [rsi]; inc rsi; mov r8d, eax; shr eax, 4
4183e00f 83c061 4183c061 8807            | and r8d, 15; add eax, 97; add r8d, 97; mov [rdi], al
44884701 4883c702 48ffc9 75da            | mov [rdi+1], r8b; add rdi, 2; dec rcx; jne letters
c6070a bf01000000 488db42400100000       | mov byte [rdi], 10; mov edi, 1; lea rsi, [rsp+4096]
b801000000 0f05 eb96                     | mov eax, 1; syscall; jmp receive
ended:
31ff b83c000000 0f05                     | xor edi, edi; mov eax, 60; syscall
too_long:
bf03000000 b83c000000 0f05               | mov edi, 3; mov eax, 60; syscall
"""
_ARM64 = """
start:
e90b40f9 140080d2 4b0180d2               | ldr x9, [sp, 16]; mov x20, 0; mov x11, 10
digit:
2a154038 4ac10071 64000054               | ldrb w10, [x9], 1; subs w10, w10, 48; b.mi parsed
942a0b9b fcffff17                        | madd x20, x20, x11, x10; b digit
parsed:
9406c05a f50f40f9 160080d2               | rev16 w20, w20; ldr x21, [sp, 24]; mov x22, 0
length:
aa6a7638 6a000034 d6060091               | ldrb w10, [x21, x22]; cbz w10, measured; add x22, x22, 1
fdffff17                                 | b length
measured:
ff1340d1 f701a0d2 580180d2               | sub sp, sp, 16384; mov x23, 0xf0000; mov x24, 10
again:
18037dd2 f80300f9 f4070079               | eor x24, x24, 8; str x24, [sp]; strh w20, [sp, 2]
ffff00a9 ff0f00f9 e90f8052               | stp xzr, xzr, [sp, 8]; str xzr, [sp, 24]; mov w9, 0x7f
0920a072 1f0b00f1 80000054 29008052      | movk w9, 0x100, lsl 16; cmp x24, 2; b.eq opened; mov w9, 1
e95f0039 09008052                        | strb w9, [sp, 23]; mov w9, 0
opened:
e90700b9 e00318aa 210080d2 020080d2      | str w9, [sp, 4]; mov x0, x24; mov x1, 1; mov x2, 0
c81880d2 010000d4 f30300aa e1030091      | mov x8, 198; svc 0; mov x19, x0; mov x1, sp
820380d2 681980d2 010000d4 800100b4      | mov x2, 28; mov x8, 203; svc 0; cbz x0, connected
e00313aa 280780d2 010000d4 09088fd2      | mov x0, x19; mov x8, 57; svc 0; mov x9, 0x7840
a92fa0f2 ff2700a9 e0030091               | movk x9, 0x17d, lsl 16; stp xzr, x9, [sp]; mov x0, sp
010080d2 a80c80d2 010000d4 deffff17      | mov x1, 0; mov x8, 101; svc 0; b again
connected:
69458152 e9030079 200080d2 e1030091      | mov w9, 0x0a2b; strh w9, [sp]; mov x0, 1; mov x1, sp
420080d2 080880d2 010000d4 760500b4      | mov x2, 2; mov x8, 64; svc 0; cbz x22, ended
send:
e00313aa e10315aa e20316aa 030088d2      | mov x0, x19; mov x1, x21; mov x2, x22; mov x3, 0x4000
040080d2 050080d2 c81980d2 010000d4      | mov x4, 0; mov x5, 0; mov x8, 206; svc 0
1f0000f1 8d000054 b502008b               | cmp x0, 0; b.le receive; add x21, x21, x0
d60200eb 81feff54                        | subs x22, x22, x0; b.ne send
receive:
e00313aa e1030091 020082d2 e80780d2      | mov x0, x19; mov x1, sp; mov x2, 4096; mov x8, 63
010000d4 1f0000f1 ed020054 220080d2      | svc 0; cmp x0, 0; b.le ended; mov x2, 1
4204008b f70202eb c4020054               | add x2, x2, x0, lsl 1; subs x23, x23, x2; b.mi too_long
e9030091 ea074091                        | mov x9, sp; add x10, sp, 4096
letters:
2b154038 6c7d0453 6b0d0012               | ldrb w11, [x9], 1; lsr w12, w11, 4; and w11, w11, 15
8c850111 6b850111 4c150038               | add w12, w12, 97; add w11, w11, 97; strb w12, [x10], 1
4b150038 000400f1 01ffff54               | strb w11, [x10], 1; subs x0, x0, 1; b.ne letters
4b018052 4b010039 200080d2 e1074091      | mov w11, 10; strb w11, [x10]; mov x0, 1; add x1, sp, 4096
080880d2 010000d4 e4ffff17               | mov x8, 64; svc 0; b receive
ended:
000080d2 a80b80d2 010000d4               | mov x0, 0; mov x8, 93; svc 0
too_long:
600080d2 a80b80d2 010000d4               | mov x0, 3; mov x8, 93; svc 0
"""


def program(architecture: str) -> bytes:
    """The whole file for one of ``elf.ARCHITECTURES``; the same bytes each time."""
    return executable(architecture, _code(_AMD64 if architecture == "amd64" else _ARM64))


def decoded(printed: bytes) -> bytes:
    """The answer out of what was printed after ``CONNECTED``; raises ValueError where it is not of that form."""
    return bytes.fromhex(printed.translate(_HALVES, b"\r\n").decode("ascii"))


def _code(listing: str) -> bytes:
    """The bytes of all lines that have some; the others are labels."""
    return b"".join(bytes.fromhex(line.partition("|")[0]) for line in listing.splitlines() if "|" in line)
