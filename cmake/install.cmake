# Where a packager finds everything. The units name /usr; the preset release has that prefix.
set(KMS_LIBEXECDIR ${CMAKE_INSTALL_LIBEXECDIR}/kms)
if(TARGET kmsd)
	install(TARGETS kmsd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
endif()
if(TARGET kms-seal)
	install(TARGETS kms-seal RUNTIME DESTINATION ${KMS_LIBEXECDIR})
endif()
if(TARGET kmsctl)
	install(TARGETS kmsctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET kms-verify)
	install(TARGETS kms-verify RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET kms)
	install(TARGETS kms LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client
		NAMELINK_COMPONENT client)
	install(FILES kms/client/kms.h kms/client/kms_admin.h kms/client/kms_envelope.h
		DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT client)
endif()
file(GLOB pages docs/man/*.[0-9])
foreach(page ${pages})
	string(REGEX MATCH "[0-9]$" section ${page})
	install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
# From where kms.pc lies, so that it is right under any --prefix.
file(RELATIVE_PATH KMS_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(packaging/kms.pc.in kms.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/kms.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
	COMPONENT client)
# The completion script comes out of kmsctl itself, so it can't be stale. Where the program that was
# built does not run here, packagers make it on the target: kmsctl completion.
if(TARGET kmsctl AND NOT CMAKE_CROSSCOMPILING)
	set(completion ${CMAKE_BINARY_DIR}/completion/kmsctl)
	add_custom_command(OUTPUT ${completion}
		COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/completion
		COMMAND kmsctl completion bash > ${completion}
		DEPENDS kmsctl
		VERBATIM)
	add_custom_target(completion ALL DEPENDS ${completion})
	install(FILES ${completion}
		DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()
install(FILES packaging/kmsd.service packaging/kmsd.socket DESTINATION lib/systemd/system)
install(FILES packaging/sysusers.d/kms.conf DESTINATION lib/sysusers.d)
# What an admin has written there stays.
install(CODE "
	if(NOT EXISTS \"\$ENV{DESTDIR}/etc/kms/kms.conf\")
		file(INSTALL \"${PROJECT_SOURCE_DIR}/packaging/kms.conf\"
			DESTINATION \"\$ENV{DESTDIR}/etc/kms\")
	endif()")
install(FILES packaging/policy.conf DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
