# kms_library(NAME FOLDER EDGES…): the folder's .c files but main.c become libkms_NAME.a.
function(kms_library name folder)
	file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
	list(FILTER sources EXCLUDE REGEX "/main\\.c$")
	# A sandbox would stop what sanitizers and coverage do at run time.
	if(KMS_SANITIZE OR KMS_COVERAGE)
		list(FILTER sources EXCLUDE REGEX "/sandbox_linux\\.c$")
	else()
		list(FILTER sources EXCLUDE REGEX "/sandbox_none\\.c$")
	endif()
	if(NOT sources)
		add_library(kms_${name} INTERFACE)
		target_link_libraries(kms_${name} INTERFACE ${ARGN})
		return()
	endif()
	add_library(kms_${name} STATIC ${sources})
	target_include_directories(kms_${name} PUBLIC ${PROJECT_SOURCE_DIR})
	target_compile_options(kms_${name} PRIVATE ${KMS_WARNINGS})
	target_link_libraries(kms_${name} PUBLIC ${ARGN})
endfunction()

# kms_protobuf(NAME FILE): what protoc-c makes of a .proto, without our warnings.
function(kms_protobuf name file)
	get_filename_component(stem ${file} NAME_WE)
	set(out ${CMAKE_BINARY_DIR}/gen/proto)
	find_program(PROTOC_C protoc-c REQUIRED)
	file(MAKE_DIRECTORY ${out})
	add_custom_command(
		OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
		COMMAND ${PROTOC_C} --c_out=${out} --proto_path=${PROJECT_SOURCE_DIR}/proto
			${PROJECT_SOURCE_DIR}/${file}
		DEPENDS ${PROJECT_SOURCE_DIR}/${file}
		VERBATIM)
	add_library(kms_${name} STATIC ${out}/${stem}.pb-c.c)
	target_include_directories(kms_${name} SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/gen)
	target_link_libraries(kms_${name} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

# kms_program(NAME FOLDER LIBRARIES…): main.c of the folder on top of the libraries.
function(kms_program name folder)
	if(NOT EXISTS ${PROJECT_SOURCE_DIR}/${folder}/main.c)
		return()
	endif()
	add_executable(${name} ${folder}/main.c)
	target_compile_options(${name} PRIVATE ${KMS_WARNINGS})
	target_link_libraries(${name} PRIVATE ${ARGN})
	target_link_options(${name} PRIVATE -pie)
endfunction()

# libkms.so: the client, exporting kms_* alone.
function(kms_shared_client)
	get_target_property(sources kms_client SOURCES)
	if(NOT sources)
		return()
	endif()
	add_library(kms SHARED ${sources})
	set_target_properties(kms PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
	target_compile_options(kms PRIVATE ${KMS_WARNINGS})
	target_link_libraries(kms PRIVATE kms_proto kms_crypto kms_base)
	target_link_options(kms PRIVATE -Wl,-z,nodlopen -Wl,--exclude-libs,ALL)
endfunction()
