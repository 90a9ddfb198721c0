# See SlicerConfig.cmake. Argument handling follows the documented interface of Slicer's and CTK's macros.
set(INSTALLED_LIST ${CMAKE_BINARY_DIR}/installed.txt)
set(TESTS_LIST ${CMAKE_BINARY_DIR}/tests.txt)
file(WRITE ${INSTALLED_LIST} "")
file(WRITE ${TESTS_LIST} "")
option(BUILD_TESTING "" ON)

macro(ctkMacroCompilePythonScript)
  cmake_parse_arguments(CTK "NO_INSTALL_SUBDIR;GLOBAL_TARGET"
    "TARGET_NAME;SOURCE_DIR;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  if(CTK_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown arguments: ${CTK_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT CTK_SOURCE_DIR)
    set(CTK_SOURCE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  if(NOT "${CTK_INSTALL_DIR}" STREQUAL "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}")
    message(FATAL_ERROR "${CTK_TARGET_NAME} is installed outside the module folder")
  endif()
  foreach(file ${CTK_SCRIPTS} ${CTK_RESOURCES})
    if(NOT EXISTS ${CTK_SOURCE_DIR}/${file})
      message(FATAL_ERROR "${CTK_TARGET_NAME} lists a file that does not exist: ${file}")
    endif()
    file(APPEND ${INSTALLED_LIST} "${CTK_SOURCE_DIR}/${file}|${file}\n")
  endforeach()
endmacro()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MOD "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MOD_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown arguments: ${MOD_UNPARSED_ARGUMENTS}")
  endif()
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MOD_NAME} SCRIPTS "${MOD_SCRIPTS}" RESOURCES "${MOD_RESOURCES}"
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR} NO_INSTALL_SUBDIR)
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(TST "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(TST_PATH ${TST_SCRIPT} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  file(APPEND ${TESTS_LIST} "${TST_PATH}\n")
endmacro()
