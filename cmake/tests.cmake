# Unit tests (cmocka), fuzz targets, benches and fault shims: each file is one program.
enable_testing()
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
set(KMS_ALL kms_keeper kms_verify kms_ctl kms_client kms_tpm kms_pkcs11 kms_seal kms_audit kms_store kms_policy kms_keys
	kms_crypto kms_proto kms_base)

function(kms_test_program file)
	get_filename_component(name ${file} NAME_WE)
	add_executable(${name} ${file})
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	target_compile_options(${name} PRIVATE ${KMS_WARNINGS} -Wno-missing-prototypes
		$<$<C_COMPILER_ID:GNU>:-Wno-stack-usage>)
	target_link_libraries(${name} PRIVATE ${KMS_ALL} ${ARGN})
	target_compile_definitions(${name} PRIVATE
		KMS_SOURCE_DIR="${PROJECT_SOURCE_DIR}" KMS_BUILD_DIR="${CMAKE_BINARY_DIR}")
endfunction()

file(GLOB unit CONFIGURE_DEPENDS tests/unit/*_test.c)
foreach(file ${unit})
	kms_test_program(${file} PkgConfig::CMOCKA PkgConfig::JSON)
	get_filename_component(name ${file} NAME_WE)
	add_test(NAME ${name} COMMAND ${name})
	set_tests_properties(${name} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()

# Where the outcome of a comparison becomes public, for memcheck; and Debian 12's can't read what
# clang writes for debuggers.
find_path(VALGRIND_INCLUDE valgrind/memcheck.h)
if(TARGET constant_time_test)
	if(VALGRIND_INCLUDE)
		target_compile_definitions(constant_time_test PRIVATE KMS_VALGRIND)
	endif()
	target_link_options(constant_time_test PRIVATE -Wl,--wrap=equal_ct
		$<$<C_COMPILER_ID:Clang>:-Wl,--strip-debug>)
endif()
# It starts the real helper and puts the real module behind the shim.
add_dependencies(pkcs11_helper_test kms-seal p11_shim)
add_dependencies(pkcs11_fault_test p11_shim)
add_dependencies(pkcs11_test p11_shim fault_shim)
add_test(NAME pkcs11_valgrind_test COMMAND sh ${PROJECT_SOURCE_DIR}/tests/unit/valgrind.sh
	$<TARGET_FILE:pkcs11_test>)
set_tests_properties(pkcs11_valgrind_test PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77)

# kms.h from C++, with the compiler that belongs to the C one.
if(NOT CMAKE_CXX_COMPILER)
	string(REGEX REPLACE "clang(-[0-9]+)?$" "clang++\\1" cxx ${CMAKE_C_COMPILER})
	if(NOT cxx STREQUAL CMAKE_C_COMPILER AND EXISTS ${cxx})
		set(CMAKE_CXX_COMPILER ${cxx})
	endif()
endif()
enable_language(CXX)
add_executable(kms_cpp_test tests/unit/kms_cpp_test.cpp)
set_target_properties(kms_cpp_test PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
	CXX_EXTENSIONS OFF RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_include_directories(kms_cpp_test PRIVATE kms/client)
target_compile_options(kms_cpp_test PRIVATE -Wall -Wextra -Wpedantic -Werror)
target_link_libraries(kms_cpp_test PRIVATE kms)
add_test(NAME kms_cpp_test COMMAND kms_cpp_test)

# The examples of the documents, as their readers build them: one header, one library.
file(GLOB examples CONFIGURE_DEPENDS docs/examples/*.c)
foreach(file ${examples})
	get_filename_component(name ${file} NAME_WE)
	add_executable(example_${name} ${file})
	set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
		RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
	target_include_directories(example_${name} PRIVATE kms/client)
	target_compile_options(example_${name} PRIVATE -Wall -Wextra -Wpedantic)
	target_link_libraries(example_${name} PRIVATE kms)
	list(APPEND example_targets example_${name})
endforeach()
if(example_targets AND TARGET examples_test)
	add_dependencies(examples_test ${example_targets})
endif()

add_test(NAME install_test COMMAND sh ${PROJECT_SOURCE_DIR}/tests/install/client.sh
	${CMAKE_COMMAND} ${CMAKE_BINARY_DIR} ${PROJECT_SOURCE_DIR} ${CMAKE_C_COMPILER})
set_tests_properties(install_test PROPERTIES TIMEOUT 60 SKIP_RETURN_CODE 77)

file(GLOB benches CONFIGURE_DEPENDS tests/bench/*.c)
foreach(file ${benches})
	kms_test_program(${file})
endforeach()

file(GLOB shims CONFIGURE_DEPENDS tests/fault/*.c)
foreach(file ${shims})
	get_filename_component(name ${file} NAME_WE)
	add_library(${name} MODULE ${file})
	set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	# What it puts in libc's place must be seen from outside.
	target_compile_options(${name} PRIVATE -fvisibility=default)
	target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
	target_include_directories(${name} SYSTEM PRIVATE ${P11_KIT_INCLUDE_DIRS})
	target_link_libraries(${name} PRIVATE ${CMAKE_DL_LIBS})
endforeach()

if(KMS_FUZZ)
	file(GLOB fuzzers CONFIGURE_DEPENDS tests/fuzz/*_fuzz.c)
	foreach(file ${fuzzers})
		kms_test_program(${file})
		get_filename_component(name ${file} NAME_WE)
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
	endforeach()
endif()
