# Arrow::arrow and Arrow::parquet from the pyarrow wheel of FOREGATE_PYTHON, which ships both with
# their headers. Library names carry the version (libarrow.so.2600), so they are found by pattern.
if(NOT FOREGATE_PYARROW_DIR)
  execute_process(
    COMMAND "${FOREGATE_PYTHON}" -c
      "import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec('pyarrow').origin).parent)"
    OUTPUT_VARIABLE FOREGATE_PYARROW_DIR OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(FOREGATE_PYARROW_DIR "${FOREGATE_PYARROW_DIR}" CACHE PATH "Folder of the pyarrow package")
endif()
file(GLOB ARROW_LIBRARY "${FOREGATE_PYARROW_DIR}/libarrow.so.*")
file(GLOB PARQUET_LIBRARY "${FOREGATE_PYARROW_DIR}/libparquet.so.*")
if(ARROW_LIBRARY)
  list(GET ARROW_LIBRARY 0 ARROW_LIBRARY)
endif()
if(PARQUET_LIBRARY)
  list(GET PARQUET_LIBRARY 0 PARQUET_LIBRARY)
endif()
find_path(ARROW_INCLUDE arrow/api.h HINTS "${FOREGATE_PYARROW_DIR}/include" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ArrowWheel
  REQUIRED_VARS ARROW_LIBRARY PARQUET_LIBRARY ARROW_INCLUDE
  REASON_FAILURE_MESSAGE "install the pyarrow wheel into ${FOREGATE_PYTHON} (./run build does)")

if(ArrowWheel_FOUND AND NOT TARGET Arrow::parquet)
  add_library(Arrow::arrow INTERFACE IMPORTED)
  target_include_directories(Arrow::arrow SYSTEM INTERFACE "${ARROW_INCLUDE}")
  target_link_libraries(Arrow::arrow INTERFACE "${ARROW_LIBRARY}")
  target_link_options(Arrow::arrow INTERFACE "-Wl,-rpath,${FOREGATE_PYARROW_DIR}")
  add_library(Arrow::parquet INTERFACE IMPORTED)
  target_link_libraries(Arrow::parquet INTERFACE "${PARQUET_LIBRARY}" Arrow::arrow)
endif()
