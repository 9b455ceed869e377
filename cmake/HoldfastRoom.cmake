# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# holdfast_room(NAME SOURCES ... LINKS ... LIBS ...): one static library a folder, holdfast::NAME.
# LINKS are other rooms, LIBS third-party libraries.
find_package(PkgConfig REQUIRED)

add_library(holdfast_options INTERFACE)
target_include_directories(holdfast_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(holdfast_options INTERFACE _POSIX_C_SOURCE=200809L _FILE_OFFSET_BITS=64
    $<$<BOOL:${HOLDFAST_DEBUG}>:HOLDFAST_DEBUG>)
target_compile_options(holdfast_options INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wvla
    -Wstrict-prototypes -Wmissing-prototypes -ffp-contract=off
    "$<$<COMPILE_LANGUAGE:C>:SHELL:-include ${CMAKE_SOURCE_DIR}/base/banned.h>"
    $<$<BOOL:${HOLDFAST_WERROR}>:-Werror>)
# GCC 12 at -O3 breaks nested loops that set structs partly to zero and partly from another: the
# zeros become one memset, which runs over what was copied (tests/unit/base/test_compiler.c).
target_compile_options(holdfast_options INTERFACE "$<$<AND:$<COMPILE_LANGUAGE:C>,$<C_COMPILER_ID:GNU>>:-fno-tree-loop-distribution;-fno-tree-loop-distribute-patterns>")
if(HOLDFAST_SANITIZE)
    target_compile_options(holdfast_options INTERFACE -fsanitize=${HOLDFAST_SANITIZE}
        -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(holdfast_options INTERFACE -fsanitize=${HOLDFAST_SANITIZE})
endif()

# Programs with the property HOLDFAST_ONE are optimised with their rooms as one; rooms are compiled
# for both, so that all others, such as tests, link as fast as ever.
if(HOLDFAST_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    set(one "$<BOOL:$<TARGET_PROPERTY:HOLDFAST_ONE>>")
    target_compile_options(holdfast_options INTERFACE
        "$<$<COMPILE_LANGUAGE:C>:-flto=auto;-ffat-lto-objects>")
    target_link_options(holdfast_options INTERFACE "$<IF:${one},-flto=auto,-fno-lto>")
endif()

function(holdfast_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;LINKS;LIBS" ${ARGN})
    add_library(holdfast_${name} STATIC ${ROOM_SOURCES})
    add_library(holdfast::${name} ALIAS holdfast_${name})
    target_link_libraries(holdfast_${name} PUBLIC holdfast_options ${ROOM_LINKS} PRIVATE ${ROOM_LIBS})
endfunction()

# holdfast_unit_test(NAME SOURCES ... LINKS ...): one Check program, run by ctest as unit/NAME.
function(holdfast_unit_test name)
    cmake_parse_arguments(UNIT "" "" "SOURCES;LINKS;LIBS" ${ARGN})
    add_executable(test_${name} ${UNIT_SOURCES} ${CMAKE_SOURCE_DIR}/tests/unit/mark.c)
    target_link_options(test_${name} PRIVATE -Wl,--wrap=_mark_point)
    pkg_check_modules(CHECK REQUIRED IMPORTED_TARGET check)
    target_link_libraries(test_${name} PRIVATE ${UNIT_LINKS} ${UNIT_LIBS} PkgConfig::CHECK)
    add_test(NAME unit/${name} COMMAND test_${name})
    set_tests_properties(unit/${name} PROPERTIES TIMEOUT 300
        ENVIRONMENT "CK_FORK=no;HOLDFAST_DATA=${CMAKE_SOURCE_DIR}/tests/vectors")
endfunction()
