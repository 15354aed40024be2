# Functions that every folder of src/, tests/ and bench/ declares its targets with.

add_library(foregate_options INTERFACE)
target_include_directories(foregate_options INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_options(foregate_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
if(FOREGATE_WERROR)
  target_compile_options(foregate_options INTERFACE -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlaps in std::string's own insertions (its bug 105651).
    target_compile_options(foregate_options INTERFACE -Wno-error=restrict)
  endif()
endif()
if(FOREGATE_SANITIZE)
  target_compile_options(foregate_options INTERFACE -fsanitize=${FOREGATE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(foregate_options INTERFACE -fsanitize=${FOREGATE_SANITIZE})
endif()

find_program(FOREGATE_CCACHE ccache)
if(FOREGATE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${FOREGATE_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${FOREGATE_CCACHE}")
endif()
find_program(FOREGATE_MOLD mold)
if(FOREGATE_MOLD)
  # norelro: mold 1.10 now and then begins that segment off a page, and the program does not start
  # ("cannot apply additional memory protection after relocation").
  target_link_options(foregate_options INTERFACE -fuse-ld=mold -Wl,-z,norelro)
endif()

# Several sources are compiled as one: most of a source's time goes into headers that its neighbors
# include too. FOREGATE_UNITY=OFF compiles them one by one, which is quicker after small changes.
function(foregate_compile_together TARGET BATCH)
  set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ${FOREGATE_UNITY} UNITY_BUILD_BATCH_SIZE ${BATCH})
endfunction()

# foregate_library(NAME SOURCES ... [DEPS ...] [PRIVATE_DEPS ...] [TORCH])
# A static library foregate_NAME. DEPS are public, PRIVATE_DEPS hidden in .cpp files. TORCH adds
# libtorch and its precompiled header.
function(foregate_library NAME)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(foregate_${NAME} STATIC ${ARG_SOURCES})
  target_link_libraries(foregate_${NAME} PUBLIC foregate_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  foregate_compile_together(foregate_${NAME} 8)
  if(ARG_TORCH)
    foregate_use_torch(foregate_${NAME})
  endif()
endfunction()

# Links libtorch and shares one precompiled header between all targets that use it.
function(foregate_use_torch TARGET)
  get_target_property(type ${TARGET} TYPE)
  if(type STREQUAL "EXECUTABLE")
    # CMake compiles programs with -fPIE, and GCC refuses a precompiled header made with -fPIC for them.
    set_target_properties(${TARGET} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${TARGET} PRIVATE -fPIC)
  endif()
  target_link_libraries(${TARGET} PUBLIC Libtorch::torch)
  if(NOT TARGET foregate_torch_pch)
    file(WRITE "${CMAKE_BINARY_DIR}/torch_pch.cpp" "// Carries the precompiled torch header.\n")
    add_library(foregate_torch_pch OBJECT "${CMAKE_BINARY_DIR}/torch_pch.cpp")
    target_link_libraries(foregate_torch_pch PUBLIC foregate_options Libtorch::torch fmt::fmt)
    # Not torch/torch.h, whose modules, optimizers and data loaders nobody here uses: without them the
    # header is loaded in half the time.
    target_precompile_headers(foregate_torch_pch PRIVATE <torch/types.h> <torch/autograd.h> <torch/cuda.h>
      <torch/utils.h> <ATen/CPUGeneratorImpl.h> <nlohmann/json.hpp> <filesystem> <functional> <map>)
  endif()
  target_link_libraries(${TARGET} PUBLIC fmt::fmt)
  target_precompile_headers(${TARGET} REUSE_FROM foregate_torch_pch)
endfunction()

# foregate_test(NAME SOURCES ... DEPS ... [TORCH])   one GoogleTest program for a folder of src/
function(foregate_test NAME)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(foregate_${NAME}_tests ${ARG_SOURCES})
  target_link_libraries(foregate_${NAME}_tests PRIVATE foregate_options ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  if(ARG_TORCH)
    foregate_use_torch(foregate_${NAME}_tests)
  endif()
  target_include_directories(foregate_${NAME}_tests PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  target_compile_definitions(foregate_${NAME}_tests PRIVATE
    FOREGATE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  # One process a folder: starting libtorch for every single test would take longer than the tests.
  add_test(NAME ${NAME} COMMAND foregate_${NAME}_tests --gtest_brief=1
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${NAME} PROPERTIES TIMEOUT 600)
endfunction()

# foregate_pytest(NAME FILE)   a Python test that drives the program or checks its files from outside
function(foregate_pytest NAME FILE)
  if(NOT TARGET foregate)
    return()
  endif()
  add_test(NAME python.${NAME}
    COMMAND "${FOREGATE_PYTHON}" -m pytest -q -rs -p no:cacheprovider "${FILE}"
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(python.${NAME} PROPERTIES TIMEOUT 1200
    ENVIRONMENT "FOREGATE_BIN=$<TARGET_FILE:foregate>;PYTHONDONTWRITEBYTECODE=1")
endfunction()
