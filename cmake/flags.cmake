# Warnings and hardening for gcc 12 and clang 14. Applied to our code only, not to what
# protobuf-c generates.
set(KMS_WARNINGS
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual
	-Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough -Wenum-conversion -Wnull-dereference)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	list(APPEND KMS_WARNINGS
		-Wformat-signedness -Wcast-align=strict -Walloca -Wimplicit-fallthrough=5
		-Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wtrampolines
		-Wstringop-overflow=4 -Wbidi-chars=any)
	if(NOT KMS_SANITIZE AND NOT KMS_COVERAGE)
		list(APPEND KMS_WARNINGS -Wstack-usage=16384)
	endif()
	if(KMS_COVERAGE)
		# Without optimising gcc takes an array whose address is noted for one that is read.
		list(APPEND KMS_WARNINGS -Wno-maybe-uninitialized)
	endif()
else()
	list(APPEND KMS_WARNINGS -Wcast-align -Wno-gnu-statement-expression)
endif()
if(KMS_WERROR)
	list(APPEND KMS_WARNINGS -Werror)
endif()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-g -fno-common -fno-strict-overflow -fno-delete-null-pointer-checks
	-fvisibility=hidden)
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")

if(KMS_SANITIZE)
	add_compile_options(-fsanitize=${KMS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	add_link_options(-fsanitize=${KMS_SANITIZE})
elseif(NOT KMS_COVERAGE)
	add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
		-fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero)
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		add_compile_options(-fzero-call-used-regs=used-gpr)
	else()
		add_compile_options(-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
	endif()
endif()
if(KMS_COVERAGE)
	add_compile_options(--coverage -O0)
	add_link_options(--coverage)
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--as-needed)
