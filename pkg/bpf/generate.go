package bpf

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu" -type rule_action -type rule_flags -type verdict -type hint -type trace_event -type address -type flow -type flow_key -type flow_record -type flow_state -type flow_event Programs ../../bpf/xdp_port.c
//go:generate go run ./internal/striplines llvm-objcopy-19 programs_bpfel.o
