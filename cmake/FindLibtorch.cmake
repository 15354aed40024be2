# Libtorch::torch from the torch wheel of FOREGATE_PYTHON. The wheel's own CMake package is not used:
# for a CUDA build it insists on a CUDA toolkit that a CPU-only user does not have.
if(NOT FOREGATE_TORCH_DIR)
  execute_process(
    COMMAND "${FOREGATE_PYTHON}" -c
      "import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec('torch').origin).parent)"
    OUTPUT_VARIABLE FOREGATE_TORCH_DIR OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(FOREGATE_TORCH_DIR "${FOREGATE_TORCH_DIR}" CACHE PATH "Folder of the torch package")
endif()
find_library(LIBTORCH_CORE torch HINTS "${FOREGATE_TORCH_DIR}/lib" NO_DEFAULT_PATH)
find_library(LIBTORCH_CPU torch_cpu HINTS "${FOREGATE_TORCH_DIR}/lib" NO_DEFAULT_PATH)
find_library(LIBTORCH_C10 c10 HINTS "${FOREGATE_TORCH_DIR}/lib" NO_DEFAULT_PATH)
find_library(LIBTORCH_CUDA torch_cuda HINTS "${FOREGATE_TORCH_DIR}/lib" NO_DEFAULT_PATH)
find_library(LIBTORCH_C10_CUDA c10_cuda HINTS "${FOREGATE_TORCH_DIR}/lib" NO_DEFAULT_PATH)
find_path(LIBTORCH_INCLUDE torch/library.h HINTS "${FOREGATE_TORCH_DIR}/include" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS LIBTORCH_CORE LIBTORCH_CPU LIBTORCH_C10 LIBTORCH_INCLUDE
  REASON_FAILURE_MESSAGE "install the torch wheel into ${FOREGATE_PYTHON} (./run build does)")

if(Libtorch_FOUND AND NOT TARGET Libtorch::torch)
  add_library(Libtorch::torch INTERFACE IMPORTED)
  target_include_directories(Libtorch::torch SYSTEM INTERFACE
    "${LIBTORCH_INCLUDE}" "${LIBTORCH_INCLUDE}/torch/csrc/api/include")
  # clang's code would need a second OpenMP runtime beside libtorch's; without, at::parallel_for
  # runs on one thread, which is all that a fuzzer wants.
  if(NOT FOREGATE_FUZZ)
    target_compile_options(Libtorch::torch INTERFACE -fopenmp)
  endif()
  # --no-as-needed: the CUDA backend registers itself when it is loaded; no symbol of it is called.
  # libstdc++ comes first because the CUDA wheel's libtorch.so exports functions of std::filesystem
  # that crash (2.11: remove_all), and the first library that has a symbol is the one that is called.
  set(libraries "${LIBTORCH_CORE}" "${LIBTORCH_CPU}" "${LIBTORCH_C10}")
  if(FOREGATE_CUDA)
    if(NOT LIBTORCH_CUDA)
      message(FATAL_ERROR "FOREGATE_CUDA is on, but the torch wheel in ${FOREGATE_TORCH_DIR} is a CPU build")
    endif()
    list(APPEND libraries "${LIBTORCH_CUDA}" "${LIBTORCH_C10_CUDA}")
  endif()
  target_link_libraries(Libtorch::torch INTERFACE
    -Wl,--push-state,--no-as-needed -lstdc++ ${libraries} -Wl,--pop-state Threads::Threads)
  target_link_options(Libtorch::torch INTERFACE "-Wl,-rpath,${FOREGATE_TORCH_DIR}/lib")
  # The wheel carries its own OpenMP runtime; a second one in the process would double the threads.
  find_file(LIBTORCH_GOMP NAMES libgomp.so.1 HINTS "${FOREGATE_TORCH_DIR}/lib" NO_DEFAULT_PATH)
  if(LIBTORCH_GOMP)
    target_link_libraries(Libtorch::torch INTERFACE "${LIBTORCH_GOMP}")
  else()
    target_link_libraries(Libtorch::torch INTERFACE gomp)
  endif()
endif()
