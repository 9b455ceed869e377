# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
#
# HOLDFAST_CUDA: whether sources in CUDA are built. They need nvcc 12.1 or later; kernels of earlier
# ones take no more than 4 KiB of arguments, and clang knows other flags. nvcc is looked for in PATH;
# CUDACXX or CMAKE_CUDA_COMPILER names another one. Without it the build goes on, and says why.
# Included at the top: a language belongs to all folders that use it.
set(HOLDFAST_CUDA OFF)
set(HOLDFAST_CUDA_VERSION_MIN 12.1)

# out: why a compiler cannot be taken, or nothing.
function(holdfast_cuda_refusal compiler out)
    execute_process(COMMAND ${compiler} --version
        RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
    string(REGEX REPLACE "\n.*" "" first "${said}")
    set(why "")
    if(NOT status EQUAL 0)
        set(why "CUDA compiler '${compiler}' does not run (${status})")
    elseif(NOT said MATCHES "NVIDIA[^\n]*Cuda compiler")
        set(why "CUDA compiler '${compiler}' is not nvcc ('${first}')")
    elseif(NOT said MATCHES "release ([0-9]+\\.[0-9]+)")
        set(why "nvcc '${compiler}' does not say its release")
    elseif(CMAKE_MATCH_1 VERSION_LESS HOLDFAST_CUDA_VERSION_MIN)
        set(why "nvcc ${CMAKE_MATCH_1} is older than ${HOLDFAST_CUDA_VERSION_MIN}")
    endif()
    set(${out} "${why}" PARENT_SCOPE)
endfunction()

# out: why no plug-in is built, or nothing; then the language is enabled.
macro(holdfast_cuda_enable out)
    set(${out} "")
    set(cuda_asked "${CMAKE_CUDA_COMPILER}")
    if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT "$ENV{CUDACXX}" STREQUAL "")
        separate_arguments(cuda_asked UNIX_COMMAND "$ENV{CUDACXX}")
        list(GET cuda_asked 0 cuda_asked)
    endif()
    # before CMake tries it: of a compiler that is not nvcc it would say that there is none
    if(cuda_asked)
        holdfast_cuda_refusal(${cuda_asked} ${out})
    endif()
    if(NOT ${out})
        include(CheckLanguage)
        check_language(CUDA)
        if(NOT CMAKE_CUDA_COMPILER)
            set(${out} "no nvcc that works")
        elseif(NOT cuda_asked)
            holdfast_cuda_refusal(${CMAKE_CUDA_COMPILER} ${out})
        endif()
    endif()
    if(NOT ${out})
        # machine code for both, and what drivers of later devices translate
        set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
        set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
        set(CMAKE_CUDA_STANDARD 17)
        enable_language(CUDA)
        if(NOT CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" OR
                CMAKE_CUDA_COMPILER_VERSION VERSION_LESS HOLDFAST_CUDA_VERSION_MIN)
            set(${out} "CUDA compiler is ${CMAKE_CUDA_COMPILER_ID} ${CMAKE_CUDA_COMPILER_VERSION}, not nvcc ${HOLDFAST_CUDA_VERSION_MIN} or later")
        endif()
    endif()
endmacro()

if(NOT HOLDFAST_GPU)
    message(STATUS "gpu: HOLDFAST_GPU is off: no plug-in is built")
else()
    holdfast_cuda_enable(cuda_refusal)
    if(cuda_refusal)
        message(STATUS "gpu: ${cuda_refusal}: no plug-in is built; its kernels are tested on the processor")
    else()
        set(HOLDFAST_CUDA ON)
    endif()
endif()
